"""Quotas held: every Bedrock and EC2 quota of an account by region, beside AWS's default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facts.account import QUOTAS_SCHEMA, QuotaRow, QuotaValues
from host.errors import Exit
from host.json_values import mapping, objects, text
from host.yaml_text import dump_yaml
from peakday.account.clients import Connect, pages
from peakday.errors import CommandError

SERVICES = ("bedrock", "ec2")


def pull_quotas(connect: Connect, regions: Sequence[str]) -> tuple[list[QuotaRow], list[str]]:
    """All rows, and a line for each that AWS named without a value.

    Raises:
        CommandError: refused, or a service without any quota in a region.
    """
    rows: list[QuotaRow] = []
    notes: list[str] = []
    for region in regions:
        client = connect("service-quotas", region)
        for service in SERVICES:
            held = _listed(client, "list_service_quotas", service)
            defaults = _listed(client, "list_aws_default_service_quotas", service)
            if not held and not defaults:
                raise CommandError(
                    f"service quotas of {service} in {region}: AWS lists none; is {service} offered there? "
                    "Nothing was written",
                    Exit.ENVIRONMENT,
                )
            for code in sorted(held.keys() | defaults.keys()):
                row, note = _row(service, region, held.get(code), defaults.get(code))
                rows.append(row)
                notes += [note] if note else []
    return rows, notes


def quotas_text(rows: Sequence[QuotaRow], pulled_utc: str) -> str:
    """quotas.yaml."""
    regions: dict[str, dict[str, list[QuotaValues]]] = {}
    for row in rows:
        entry: QuotaValues = {
            "code": row.code,
            "name": row.name,
            "value": row.value,
            "default": row.default,
            "adjustable": row.adjustable,
        }
        regions.setdefault(row.region, {}).setdefault(row.service, []).append(entry)
    document = {"schema": QUOTAS_SCHEMA, "pulled_utc": pulled_utc, "regions": regions}
    return dump_yaml(document, width=200)


def _listed(client: object, operation: str, service: str) -> dict[str, dict[str, object]]:
    limits = {}
    for page in pages(client, operation, ServiceCode=service, MaxResults=100):
        limits.update({text(quota["QuotaCode"]): quota for quota in objects(page.get("Quotas"))})
    return limits


def _row(
    service: str, region: str, held: dict[str, object] | None, default: dict[str, object] | None
) -> tuple[QuotaRow, str | None]:
    shown = held or default
    assert shown is not None
    base = _value(default) if default else None
    value = _value(held) if held else base
    reason = mapping((held or {}).get("ErrorReason")).get("ErrorCode")
    note = None
    if value is None:
        why = f" ({reason})" if reason else ""
        note = f"quota {shown['QuotaCode']} {shown.get('QuotaName', '')!r} in {region}: AWS gives no value{why}"
    row = QuotaRow(
        service,
        region,
        text(shown["QuotaCode"]),
        text(shown.get("QuotaName")),
        value,
        base,
        bool(shown.get("Adjustable", False)),
    )
    return row, note


def _value(quota: Mapping[str, object]) -> float | None:
    value = quota.get("Value")
    return value if isinstance(value, int | float) else None
