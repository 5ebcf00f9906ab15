"""Images: built and pushed once, named by digest."""

import re


def test_unchanged_sources_are_neither_built_nor_pushed(cloud):
    cloud.project.file("job/Dockerfile", 'FROM wherry-busybox:1\nCOPY hello /hello\nCMD ["cat", "/hello"]\n')
    cloud.project.file("job/hello", f"hello {cloud.account.id}\n")
    cloud.project.jobfile("""
app: pics
jobs: {hello: {build: job}}
environments: {prod: {region: eu-west-1}}
""")
    assert cloud.plan()["images"] == ["hello"]
    assert "job hello: building and pushing its image" in cloud.wherry("deploy", "--yes").stderr
    plan = cloud.plan()
    assert plan["images"] == []
    assert not plan["changed"]

    definitions = cloud.client("ecs").list_task_definitions()["taskDefinitionArns"]
    described = cloud.client("ecs").describe_task_definition(taskDefinition=definitions[-1])["taskDefinition"]
    image = described["containerDefinitions"][0]["image"]
    assert re.fullmatch(r".+/pics-prod/hello@sha256:[0-9a-f]{64}", image)

    cloud.project.file("job/hello", "changed\n")
    plan = cloud.plan()
    assert plan["images"] == ["hello"]
    assert "job hello: its task" in {change["what"] for change in plan["changes"]}
    told = cloud.wherry("deploy", "--yes").stderr
    assert "building and pushing" in told
    cloud.wherry("destroy", "--yes")
    assert cloud.leftovers() == []


def test_build_prints_what_it_has_built(cloud):
    cloud.project.file("job/Dockerfile", "FROM wherry-busybox:1\n")
    cloud.project.jobfile("""
app: pics
jobs: {hello: {build: job}, other: {image: "wherry-busybox:1"}}
environments: {prod: {region: eu-west-1}}
""")
    assert re.fullmatch(r"hello  wherry-build:[0-9a-f]{32}\n", cloud.wherry("build").stdout)
    assert "there is nothing to build" in cloud.wherry("build", "other", code=2).stderr
    assert cloud.leftovers() == []
