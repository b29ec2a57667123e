# Scores and comparison sheets.


rule evaluate:
    input:
        **inputs("evaluate"),
    output:
        **outputs(
            "evaluate",
            metrics=lambda path: report(
                path,
                caption="../report/metrics.rst",
                category="Scores",
                labels={"experiment": "{experiment}", "what": "metrics"},
            ),
            sheets=lambda path: report(
                path,
                patterns=["{sheet}.png"],
                caption="../report/sheet.rst",
                category="Comparison sheets",
                subcategory="{experiment}",
                labels={"image": "{sheet}"},
            ),
        ),
    log:
        f"{ROOT}/logs/evaluate/{{task}}/{{experiment}}.log",
    benchmark:
        benchmark_of("evaluate")
    threads: threads_of("evaluate")
    resources:
        **resources_of("evaluate"),
    params:
        parameters=parameters("evaluate"),
        code=code("evaluate"),
    message:
        "evaluate {wildcards.experiment}"
    shell:
        "{PYTHON:q} -m pipeline evaluate --experiment {wildcards.experiment} --root {ROOT} --params {PARAMS:q} > {log} 2>&1"
