# Images: decoded, checked, cropped, made small, packed.


rule prepare:
    input:
        sources=source_files(),
    output:
        **outputs("prepare"),
    log:
        f"{ROOT}/logs/prepare/{{task}}.log",
    benchmark:
        benchmark_of("prepare")
    threads: threads_of("prepare")
    resources:
        **resources_of("prepare"),
    params:
        parameters=parameters("prepare"),
        code=code("prepare"),
    message:
        "prepare {wildcards.task}"
    shell:
        "{PYTHON:q} -m pipeline prepare --task {wildcards.task} --root {ROOT} --params {PARAMS:q} > {log} 2>&1"
