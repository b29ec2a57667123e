# Images: decoded, checked, cropped, made small, packed.


rule prepare:
    input:
        sources=source_files(),
    output:
        **outputs("prepare"),
    log:
        f"{ROOT}/logs/prepare/x{{scale}}.log",
    benchmark:
        f"{ROOT}/benchmarks/prepare/x{{scale}}.tsv"
    threads: threads_of("prepare")
    resources:
        **resources_of("prepare"),
    params:
        parameters=parameters("prepare"),
        code=code("prepare"),
    shell:
        "{PYTHON:q} -m pipeline prepare --scale {wildcards.scale} --root {ROOT} > {log} 2>&1"
