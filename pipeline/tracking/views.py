"""Tables of runs that MLflow's page opens ready: the runs of one task, their columns, the best on top.

The page keeps a view that is shared by its address as a tag of the experiment; this writes such tags. A page that did
not know them would show its usual table.
"""

import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote

TAG = "mlflow.sharedViewState."
PARAMS = ("family", "model", "table", "finetune.steps")
EVALUATED = 'tags.stage = "evaluate" and tags.latest = "true"'
"""The filter that leaves one run per experiment."""


def tag(name: str, scored: str, metrics: Iterable[str]) -> tuple[str, str]:
    """Key and value of the tag that holds the view of one registered model's runs.

    Args:
        name: the registered model's, with which its runs are tagged.
        scored: what decides between them, such as samples/psnr_y.
        metrics: names of all that the runs have; of the scores, those of the finished tables are shown.
    """
    shown = [metric for metric in metrics if metric.endswith("_finetuned") or "/" not in metric]
    state = {
        "searchFilter": f'{EVALUATED} and tags.model = "{name}"',
        "orderByKey": f"metrics.`{scored}_finetuned`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [f"params.`{key}`" for key in PARAMS] + [f"metrics.`{key}`" for key in shown],
    }
    return TAG + name, json.dumps(state)


def addresses(page: str, experiment_id: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Where the views lie that the experiment's tags hold, by the registered model's name."""
    runs = f"{page}/#/experiments/{experiment_id}/runs"
    names = sorted(key.removeprefix(TAG) for key in tags if key.startswith(TAG + "lutra-"))
    return {name: f"{runs}?viewStateShareKey={quote(name)}" for name in names}
