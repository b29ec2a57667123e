# The stages of pipeline/declaration.py for `snakemake`: outputs in runs/snakemake, settings in params.yaml. With another
# file of parameters in LUTRA_PARAMS, such as results/recipes.yaml, outputs are in runs/recipes, by its name.
#
# The rules hold no logic. Inputs, outputs, parameters and resources come from the declaration; parameters (defaults
# filled in) and a hash of the code that a stage depends on are `params` of its rule, so that a changed block or an
# edited module reruns what it can change, and nothing else.

import os

from snakemake.utils import min_version, validate

min_version("9.0")


PARAMS = os.environ.get("LUTRA_PARAMS") or "params.yaml"


configfile: PARAMS


include: "workflow/rules/common.smk"


validate(config, "workflow/schemas/params.schema.json", set_default=False)


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        expand(rules.report.output, task=sorted({block.task for block in SETTINGS.experiments.values()})),
    localrule: True
