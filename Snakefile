from snakemake.utils import min_version

min_version("9.27")


container: "docker://python:3.11"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/report.smk"


# On a cluster these stay on the login node: compute nodes often reach no network, and the rest takes seconds.
localrules:
    all,
    fetch,
    tables,
    report,


rule all:
    default_target: True
    input:
        "reports/report.html",
        EVERY_RESULT,
