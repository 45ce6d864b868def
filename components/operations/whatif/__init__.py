"""What a change of the mesh would do to recorded requests, before it is deployed.

```text
 objects before ──► istiod in memory ──► doors, routes, clusters ──► Envoy ──► sink ─┐
                    (state.py)           (routes.py)     (bootstrap.py, envoy.py)    │   the same request
 recording ──► requests ──► doors that each comes through ──► sent, numbered         ├─► in both states:
              (requests.py)  (choosing.py)                    (sending.py)           │   comparing.py
 objects after ──► istiod in memory ──► doors, routes, clusters ──► Envoy ──► sink ──┘        │
                                                                                              ▼
                                                      expectations.py ──► result.py: changes, verdict
```

What decides about requests and is not shown, unseen.py names; what a difference comes from, responsible.py knows.
Without a state before, copies.py says what the mirrors of the one state would copy. page.py writes both for people.

A *door* is one way into one proxy: a listener of a gateway, a waypoint or a sidecar. What is random in the mesh is not
here: weights and shares are read from the routes and compared as probabilities, each request draws by its own number,
and every mirror gets every copy, so that even a share of one in a million is looked at.
"""

from .comparing import Difference, Kind
from .copies import Copies, what_is_copied
from .expectations import Expectations
from .page import render_markdown, render_page
from .requests import Recorded, read_requests
from .result import Change, Result, Subject
from .run import what_if
from .state import State, read_change, read_state

__all__ = [
    "Change",
    "Copies",
    "Difference",
    "Expectations",
    "Kind",
    "Recorded",
    "Result",
    "State",
    "Subject",
    "read_change",
    "read_requests",
    "read_state",
    "render_markdown",
    "render_page",
    "what_if",
    "what_is_copied",
]
