"""A failed deployment is told by the engine's diagnostics, not by whatever it wrote last."""

from components.operations.ramp.stack import said_by_engine

FAILED = """ code: 255
 stdout: Updating (staging):
    pulumi:pulumi:Stack demo-staging  error: Program failed
Diagnostics:
  pulumi:pulumi:Stack (demo-staging):
    error: Program failed with an unhandled exception: broken program

Outputs:
    kubeconfig: "[secret]"
Resources:
    1 errored
 stderr: """


def test_diagnostics_are_shown_without_outputs() -> None:
    assert said_by_engine(FAILED) == [
        "  pulumi:pulumi:Stack (demo-staging):",
        "    error: Program failed with an unhandled exception: broken program",
    ]


def test_without_diagnostics_errors_are_shown() -> None:
    assert said_by_engine(" code: 255\n stdout:\n stderr: error: no stack named 'x' found\n") == [
        " stderr: error: no stack named 'x' found"
    ]
    assert said_by_engine("killed") == ["killed"]
