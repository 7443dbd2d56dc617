rule fetch:
    output:
        "data/{dataset}/READY",
    log:
        "logs/fetch/{dataset}.log",
    wildcard_constraints:
        dataset=r"[a-z0-9-]+",
    shell:
        "okd fetch {wildcards.dataset} > {log} 2>&1"
