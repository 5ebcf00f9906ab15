"""What the stand-in takes into a stack and does nothing about."""

# Types that the stand-in accepts and does nothing about: their part of a template is judged by cfn-lint alone.
LEFT_OUT = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "nothing scales: MiniStack has no Application Auto Scaling in stacks",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "nothing scales, as above",
    "AWS::Budgets::Budget": "no costs arise",
    "AWS::CloudWatch::Alarm of an expression": "no metric math is evaluated; alarms of one metric are taken",
    "AWS::CloudWatch::CompositeAlarm": "no alarms are evaluated together",
}
