# From images to tables: train the network, export it, finetune the tables.


rule train:
    input:
        **inputs("train"),
        start=start_of,
    output:
        **outputs("train"),
    log:
        f"{ROOT}/logs/train/{{experiment}}.log",
    benchmark:
        benchmark_of("train")
    threads: threads_of("train")
    resources:
        **resources_of("train"),
    params:
        parameters=parameters("train"),
        code=code("train"),
    message:
        "train {wildcards.experiment}"
    shell:
        "{PYTHON:q} -m pipeline train --experiment {wildcards.experiment} --root {ROOT} --params {PARAMS:q} > {log} 2>&1"


rule export:
    input:
        **inputs("export"),
    output:
        **outputs("export"),
    log:
        f"{ROOT}/logs/export/{{experiment}}.log",
    benchmark:
        benchmark_of("export")
    threads: threads_of("export")
    resources:
        **resources_of("export"),
    params:
        parameters=parameters("export"),
        code=code("export"),
    message:
        "export {wildcards.experiment}"
    shell:
        "{PYTHON:q} -m pipeline export --experiment {wildcards.experiment} --root {ROOT} --params {PARAMS:q} > {log} 2>&1"


rule finetune:
    input:
        **inputs("finetune"),
    output:
        **outputs("finetune"),
    log:
        f"{ROOT}/logs/finetune/{{experiment}}.log",
    benchmark:
        benchmark_of("finetune")
    threads: threads_of("finetune")
    resources:
        **resources_of("finetune"),
    params:
        parameters=parameters("finetune"),
        code=code("finetune"),
    message:
        "finetune {wildcards.experiment}"
    shell:
        "{PYTHON:q} -m pipeline finetune --experiment {wildcards.experiment} --root {ROOT} --params {PARAMS:q} > {log} 2>&1"
