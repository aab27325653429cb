"""The product's settings with as many workers as the benchmark says, and captures on their own."""

import os

from medstack.settings import *  # noqa: F403
from medstack.settings import INSTALLED_APPS as INSTALLED
from medstack.settings import Q_CLUSTER as QUEUE

INSTALLED_APPS = [*INSTALLED, "benchmarks.simulated"]
Q_CLUSTER = {**QUEUE, "workers": int(os.environ["BENCHMARK_WORKERS"])}
