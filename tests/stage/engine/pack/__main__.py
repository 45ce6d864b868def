"""One rule: no greeting may be rude."""

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)


def no_rudeness(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Report a ConfigMap whose greeting is the forbidden word."""
    if args.resource_type != "kubernetes:core/v1:ConfigMap":
        return
    word = args.get_config().get("word", "rude")
    if args.props.get("data", {}).get("greeting") == word:
        report(f"the greeting is {word}", None)


PolicyPack(
    name="manners",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        ResourceValidationPolicy(
            name="no-rudeness",
            description="Greetings are polite.",
            validate=no_rudeness,
            config_schema=PolicyConfigSchema(properties={"word": {"type": "string", "default": "rude"}}),
        )
    ],
)
