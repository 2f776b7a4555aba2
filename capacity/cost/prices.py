"""What things cost in this plan: the facts, with the user's own prices laid over them and checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime

from capacity.plan import InputNote, PlanError
from facts.price_variants import CLASSES, feature_prices
from facts.reader import AS_GIVEN, Instance, Model, TokenPrices, instances, models

STALE_DAYS = 90
OVERLAY_KEYS = ("tokens", "instances", "owned", "commitments", "features", "discount_ratio", "reserved")
TERMS_MONTHS = (1, 3, 6)
"""Of the Reserved tier: AWS's pages name 1 and 3 months, one of them 1 and 6."""
PROVIDERS = ("amazon", "anthropic")


@dataclass(frozen=True)
class Commitment:
    """An instance that is charged for its whole term, however short the event."""

    instance: str
    usd_per_hour: float
    term_h: float


@dataclass(frozen=True)
class ReservedPrice:
    """The user's price of the Reserved tier: USD for 1,000 tokens a minute and month, input and output apart."""

    input_usd: float
    output_usd: float
    months: int


@dataclass(frozen=True)
class Prices:
    """Models with token prices, instances, and own hourly prices by instance type."""

    models: Mapping[str, Model]
    instances: Mapping[str, Instance]
    own_usd_per_hour: Mapping[str, float] = field(default_factory=dict)
    owned: Mapping[str, int] = field(default_factory=dict)  # instances already paid for, in each region
    commitments: tuple[Commitment, ...] = ()
    notes: tuple[InputNote, ...] = ()
    features_usd_per_thousand: Mapping[str, float] = field(default_factory=dict)
    reserved: Mapping[str, ReservedPrice] = field(default_factory=dict)  # by model


def load_prices(overlay: Mapping[str, object] | None, catalogue: Mapping[str, Model] | None = None) -> Prices:
    """Facts with an overlay of the user's own.

    `tokens: {MODEL: {input_usd_per_mtok: …}}`, `instances: {TYPE: {usd_per_hour: …}}`, `owned: {TYPE: count}` in each
    region, `commitments: [{instance: TYPE, usd_per_hour: …, term_h: 8760}]`, `features: {web_search: USD per 1,000}`,
    `reserved: {MODEL: {input_usd: …, output_usd: …, months: 1}}` for 1,000 tokens a minute and month,
    `discount_ratio: {FAMILY: 0.1}`: share off the list for all models of a provider (amazon, anthropic) or all
    instances of a family (inf2, trn2). A price given outright is net already.

    Raises:
        PlanError: an unknown model, instance or class; a negative or missing number; a cache read dearer than input.
    """
    overlay = overlay or {}
    if unknown := sorted(set(overlay) - set(OVERLAY_KEYS)):
        raise PlanError(f"prices.{unknown[0]}: unknown key; known: {', '.join(OVERLAY_KEYS)}")
    notes: list[InputNote] = []
    known, offered = with_discounts(
        dict(catalogue or models()), with_price_dates(instances()), _part(overlay, "discount_ratio"), notes
    )
    for name, entry in _part(overlay, "tokens").items():
        model = known.get(name)
        if model is None or model.prices is None:
            raise PlanError(f"prices.tokens.{name}: no Bedrock model of that name; known: {', '.join(sorted(known))}")
        entry = _mapping(f"prices.tokens.{name}", entry)
        values = {k: _positive(f"prices.tokens.{name}.{k}", v) for k, v in entry.items()}
        try:
            own = TokenPrices(**(asdict(model.prices) | values | {"source": "own price", "source_date": AS_GIVEN}))
        except TypeError:
            raise PlanError(
                f"prices.tokens.{name}: keys are those of TokenPrices, such as input_usd_per_mtok"
            ) from None
        known[name] = replace(model, prices=own)
        notes.append(InputNote("prices", name, str(dict(entry)), "measured", "own price overlay"))
    hourly = {}
    for name, entry in _part(overlay, "instances").items():
        _known_instance("instances", name, offered)
        usd = _mapping(f"prices.instances.{name}", entry).get("usd_per_hour")
        hourly[name] = _positive(f"prices.instances.{name}.usd_per_hour", usd)
        offered = {**offered, name: replace(offered[name], price_date=AS_GIVEN)}
        notes.append(InputNote("prices", name, f"{hourly[name]} USD/h", "measured", "own price overlay"))
    for model in known.values():
        _check_order(model)
    owned = {}
    for name, count in _part(overlay, "owned").items():
        _known_instance("owned", name, offered)
        owned[name] = int(_positive(f"prices.owned.{name}", count))
    features = {}
    for name, usd in _part(overlay, "features").items():
        if name not in feature_prices():
            raise PlanError(f"prices.features.{name}: unknown; known: {', '.join(feature_prices())}")
        features[name] = _positive(f"prices.features.{name}", usd)
        notes.append(InputNote("prices", name, f"{usd} USD per 1,000", "measured", "own price overlay"))
    commitments = _commitments(overlay.get("commitments") or (), offered)
    reserved = _reserved(_part(overlay, "reserved"), known)
    return Prices(known, offered, hourly, owned, commitments, tuple(notes), features, reserved)


def _part(overlay: Mapping[str, object], part: str) -> Mapping[str, object]:
    return _mapping(f"prices.{part}", overlay.get(part) or {})


def _mapping(where: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise PlanError(f"{where}: {value!r}; expected keys and values")
    return value


def _reserved(rows: Mapping[str, object], known: Mapping[str, Model]) -> dict[str, ReservedPrice]:
    """Prices of the Reserved tier by model; raises `PlanError`."""
    prices = {}
    for name, values in rows.items():
        where = f"prices.reserved.{name}"
        row = _mapping(where, values)
        if name not in known or known[name].supply != "bedrock":
            raise PlanError(f"{where}: no Bedrock model of that name; known: {', '.join(sorted(known))}")
        if not {"input_usd", "output_usd"} <= set(row) <= {"input_usd", "output_usd", "months"}:
            raise PlanError(f"{where}: needs input_usd and output_usd, for 1,000 tokens a minute and month, and months")
        months = row.get("months", 1)
        if months not in TERMS_MONTHS:
            raise PlanError(f"{where}.months: {months!r}; the Reserved tier is sold for 1 or 3 months")
        usd_in, usd_out = (_positive(f"{where}.{key}", row[key]) for key in ("input_usd", "output_usd"))
        prices[name] = ReservedPrice(usd_in, usd_out, int(str(months)))
    return prices


def with_discounts(
    models_of: dict[str, Model], offered: Mapping[str, Instance], shares: Mapping[str, object], notes: list[InputNote]
) -> tuple[dict[str, Model], Mapping[str, Instance]]:
    """Models and instances with each family's discount taken off; a note for each ratio.

    Raises:
        PlanError: a family that no model and no instance has, or a ratio outside [0, 1).
    """
    families = {key: _provider(model) for key, model in models_of.items() if model.prices is not None}
    known = {*families.values(), *(name.split(".")[0] for name in offered)}
    ratios = {family: _positive(f"prices.discount_ratio.{family}", share) for family, share in shares.items()}
    for family, ratio in ratios.items():
        if family not in known:
            raise PlanError(f"prices.discount_ratio.{family}: no such family; known: {', '.join(sorted(known))}")
        if ratio >= 1:
            raise PlanError(f"prices.discount_ratio.{family}: {ratio} is no share off the list; give 0.1 for 10%")
        notes.append(InputNote("prices", f"{family} discount", f"{ratio:.1%} off the list", "measured", "own contract"))
    for key, family in families.items():
        if ratios.get(family):
            models_of[key] = _cheaper_model(models_of[key], 1 - ratios[family])
    cheaper = {
        name: _cheaper_instance(instance, 1 - ratios[name.split(".")[0]])
        if ratios.get(name.split(".")[0])
        else instance
        for name, instance in offered.items()
    }
    return models_of, cheaper


def _provider(model: Model) -> str:
    """amazon or anthropic, of us.amazon.nova-pro-v1:0 and the like."""
    assert model.prices is not None
    return next((part for part in model.prices.price_key.split(".") if part in PROVIDERS), "other")


def _cheaper_model(model: Model, factor: float) -> Model:
    prices = model.prices
    assert prices is not None
    classes = {name: getattr(prices, f"{name}_usd_per_mtok") for name in CLASSES}
    less = {f"{name}_usd_per_mtok": usd * factor for name, usd in classes.items() if usd is not None}
    return replace(model, prices=replace(prices, **less))


def _cheaper_instance(instance: Instance, factor: float) -> Instance:
    names = ("on_demand_usd_per_hour", "capacity_block_usd_per_hour")
    listed = {name: getattr(instance, name) for name in names}
    return replace(instance, **{name: usd * factor for name, usd in listed.items() if usd is not None})


def _commitments(rows: object, offered: Mapping[str, Instance]) -> tuple[Commitment, ...]:
    commitments = []
    if not isinstance(rows, Sequence):
        raise PlanError(f"prices.commitments: {rows!r}; expected a list")
    for number, values in enumerate(rows):
        where = f"prices.commitments[{number}]"
        row = _mapping(where, values)
        if set(row) != {"instance", "usd_per_hour", "term_h"}:
            raise PlanError(
                f"{where}: needs instance, usd_per_hour and term_h; a commitment without a term is no price"
            )
        instance = str(row["instance"])
        _known_instance(where, instance, offered)
        usd, term_h = (_positive(f"{where}.{key}", row[key]) for key in ("usd_per_hour", "term_h"))
        if term_h == 0:
            raise PlanError(f"{where}.term_h: 0 hours is no term; give the hours that the commitment is charged for")
        commitments.append(Commitment(instance, usd, term_h))
    return tuple(commitments)


def _known_instance(where: str, name: str, offered: Mapping[str, Instance]) -> None:
    if name not in offered:
        raise PlanError(f"{where}.{name}: unknown instance type; see facts/data/instances.csv")


def with_price_dates(offered: Mapping[str, Instance]) -> dict[str, Instance]:
    """Instances sold in capacity blocks alone with the date of that price: the last one that its note names."""

    def of_block(instance: Instance) -> Instance:
        named = re.findall(r"\d{4}-\d{2}-\d{2}", instance.capacity_block_note)
        if instance.price_date or instance.capacity_block_usd_per_hour is None or not named:
            return instance
        return replace(instance, price_date=max(named))

    return {name: of_block(instance) for name, instance in offered.items()}


def stale_warning(price_date: str, now_utc: str, what: str) -> str | None:
    """A warning when a price was read more than 90 days before the plan, or nobody knows when."""
    if price_date == AS_GIVEN:
        return None
    try:
        read = date.fromisoformat(price_date[:10])
    except ValueError:
        return f"{what}: price of unknown date; read it again before ordering"
    age = (datetime.fromisoformat(now_utc.replace("Z", "+00:00")).date() - read).days
    if age <= STALE_DAYS:
        return None
    return f"{what}: price of {read} is {age} days old (over {STALE_DAYS}); read it again before ordering"


def _positive(where: str, value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise PlanError(f"{where}: {value!r} is no price; give USD >= 0")
    return float(value)


def _check_order(model: Model) -> None:
    prices = model.prices
    if prices is None or prices.cache_read_usd_per_mtok is None:
        return
    if prices.cache_read_usd_per_mtok > prices.input_usd_per_mtok:
        raise PlanError(
            f"prices of {model.key} contradict each other: a cache read ({prices.cache_read_usd_per_mtok:g}) "
            f"costs more than uncached input ({prices.input_usd_per_mtok:g} USD per million tokens)"
        )
