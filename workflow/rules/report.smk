rule tables:
    input:
        "params.yaml",
        "plan/index.json",
        [files_of(run)[-1] for run in RUNS],
        sorted(str(file) for file in Path("papers").glob("[!.]*.yaml")),
        sorted(str(file) for file in Path("reports/evidence").glob("*.json")),
    output:
        expand("reports/data/{table}.json", table=PLAN["table_index"]),
        "reports/data/summary.json",
    log:
        "logs/tables.log",
    shell:
        "okd tables --log {log:q}"


rule report:
    input:
        rules.tables.output,
    output:
        report("reports/report.html", category="Tables, verdicts and figures"),
    log:
        "logs/report.log",
    shell:
        "okd report --log {log:q}"
