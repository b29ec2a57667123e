"""MLflow's pages, and the tables of runs that they open with: the runs of one task, their columns, the best on top.

MLflow keeps a view that users share by its address as a tag of the experiment; this writes such tags. A page that does
not know them shows its usual table.
"""

import json
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.tracking import store

if TYPE_CHECKING:
    from pipeline.params import TrackingParams

TAG = "mlflow.sharedViewState."
PARAMS = ("family", "model", "table", "finetune.steps")
EVALUATED = 'tags.stage = "evaluate" and tags.latest = "true"'
"""The filter that leaves one run per experiment."""


def tag(name: str, scored: str, metrics: Iterable[str]) -> tuple[str, str]:
    """Return key and value of the tag that holds the view of one registered model's runs.

    Args:
        name: name of the registered model, with which its runs are tagged.
        scored: the score that decides between them, such as samples/psnr_y.
        metrics: names of all metrics of the runs; of the scores, the view shows those of the finished tables.
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
    """Return the addresses of the views that an experiment's tags hold, by the name of the registered model."""
    runs = f"{page}/#/experiments/{experiment_id}/runs"
    names = sorted(key.removeprefix(TAG) for key in tags if key.startswith(TAG + "lutra-"))
    return {name: f"{runs}?viewStateShareKey={quote(name)}" for name in names}


def serve(tracking: "TrackingParams", port: int) -> None:
    """Show the runs in MLflow's pages on this machine; does not return until interrupted."""
    uri = store.tracking_uri(tracking)
    if store.is_server(uri):
        store.report(f"the runs are on a server: open {store.without_password(uri)}")
        return
    _check_port(port)
    client, page = store.connect(uri), f"http://127.0.0.1:{port}"
    experiment = store.experiment_id(client, uri, tracking.experiment)
    store.report(f"open {page} (Ctrl-C to stop)")
    for name, address in addresses(page, experiment, client.get_experiment(experiment).tags).items():
        store.report(f"{name} compared: {address}")
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # background jobs of features we do not use
    server = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    artifacts = ["--no-serve-artifacts", "--default-artifact-root", str(store.artifacts(uri))]
    os.execv(sys.executable, [*server, "--backend-store-uri", uri, *artifacts])


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ValueError(f"port {port}: cannot be used ({error.strerror}), expected a free one: --port") from None
