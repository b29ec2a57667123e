# One table and one picture over all experiments.


rule report:
    input:
        **inputs("report"),
    output:
        **outputs(
            "report",
            table=lambda path: report(
                path,
                caption="../report/table.rst",
                category="Scores",
                labels={"experiment": "all", "what": "table"},
            ),
            picture=lambda path: report(
                path,
                caption="../report/comparison.rst",
                category="Scores",
                labels={"experiment": "all", "what": "comparison"},
            ),
        ),
    log:
        f"{ROOT}/logs/report.log",
    benchmark:
        f"{ROOT}/benchmarks/report.tsv"
    localrule: True
    threads: threads_of("report")
    resources:
        **resources_of("report"),
    params:
        parameters=parameters("report"),
        code=code("report"),
    shell:
        "{PYTHON:q} -m pipeline report --root {ROOT} > {log} 2>&1"
