"""What wherry does not have: says which service and operation was asked for, and how to get it from somewhere else.

Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints" (the variables are named after a service's id,
while a request only tells the name that it is signed for).
"""

from __future__ import annotations

from wherry.gateway.errors import AwsError

#: Name in signatures -> the service's part of AWS_ENDPOINT_URL_<SERVICE>, where the two differ.
VARIABLES = {
    "airflow": "MWAA",
    "apigateway": "API_GATEWAY",
    "application-autoscaling": "APPLICATION_AUTO_SCALING",
    "autoscaling": "AUTO_SCALING",
    "bedrock": "BEDROCK_RUNTIME",
    "cassandra": "KEYSPACES",
    "ce": "COST_EXPLORER",
    "cloudcontrolapi": "CLOUDCONTROL",
    "cognito-idp": "COGNITO_IDENTITY_PROVIDER",
    "config": "CONFIG_SERVICE",
    "dms": "DATABASE_MIGRATION_SERVICE",
    "elasticbeanstalk": "ELASTIC_BEANSTALK",
    "elasticfilesystem": "EFS",
    "elasticloadbalancing": "ELASTIC_LOAD_BALANCING_V2",
    "elasticmapreduce": "EMR",
    "es": "OPENSEARCH",
    "events": "EVENTBRIDGE",
    "execute-api": "APIGATEWAYMANAGEMENTAPI",
    "iotdata": "IOT_DATA_PLANE",
    "kinesisanalytics": "KINESIS_ANALYTICS_V2",
    "logs": "CLOUDWATCH_LOGS",
    "mobiletargeting": "PINPOINT",
    "monitoring": "CLOUDWATCH",
    "route53": "ROUTE_53",
    "secretsmanager": "SECRETS_MANAGER",
    "servicequotas": "SERVICE_QUOTAS",
    "ses": "SESV2",
    "states": "SFN",
    "tagging": "RESOURCE_GROUPS_TAGGING_API",
    "timestream": "TIMESTREAM_WRITE",
}


def not_implemented(service: str, operation: str) -> AwsError:
    """The error for an operation that is not here."""
    variable = VARIABLES.get(service, service.upper().replace("-", "_"))
    return AwsError(
        "NotImplemented",
        f"wherry does not have {service}:{operation}. To use a full emulator, or AWS itself, for this service alone, "
        f"set AWS_ENDPOINT_URL_{variable} in the job's `env`",
        501,
    )
