# One page, one table and one picture over all experiments of a task.


rule report:
    input:
        **inputs("report"),
    output:
        **outputs(
            "report",
            page=lambda path: report(
                path,
                caption="../report/page.rst",
                category="Scores",
                labels={"experiment": "{task}", "what": "page"},
            ),
            table=lambda path: report(
                path,
                caption="../report/table.rst",
                category="Scores",
                labels={"experiment": "{task}", "what": "table"},
            ),
            picture=lambda path: report(
                path,
                caption="../report/comparison.rst",
                category="Scores",
                labels={"experiment": "{task}", "what": "comparison"},
            ),
        ),
    log:
        f"{ROOT}/logs/report/{{task}}.log",
    benchmark:
        benchmark_of("report")
    localrule: True
    threads: threads_of("report")
    resources:
        **resources_of("report"),
    params:
        parameters=parameters("report"),
        code=code("report"),
    message:
        "report {wildcards.task}"
    shell:
        "{PYTHON:q} -m pipeline report --task {wildcards.task} --root {ROOT} --params {PARAMS:q} > {log} 2>&1"
