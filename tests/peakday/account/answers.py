"""Answers of AWS in their documented shapes, handed out by botocore's Stubber, which checks each against the service's
own model. Any client that is asked for and was not prepared is a failure."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

import boto3
from botocore.stub import Stubber

from facts.reader import models
from peakday.account.clients import action
from peakday.account.usage import series

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ACCESS_KEY, SECRET = "AKIAEXAMPLEKEY000000", "an/example+secret0000000000000000000000"
PRO, SONNET, LITE = (models()[key].model_id for key in ("nova-pro", "claude-sonnet", "nova-2-lite"))


def quota(code, name, value, service="bedrock", adjustable=True, **more):
    """One row of Service Quotas."""
    held = {} if value is None else {"Value": value}
    arn = f"arn:aws:servicequotas:us-east-1:123456789012:{service}/{code}"
    return {
        "ServiceCode": service, "QuotaCode": code, "QuotaName": name, "QuotaArn": arn, "Adjustable": adjustable,
        "GlobalQuota": False, "Unit": "None", **held, **more,
    }  # fmt: skip


PRO_TPM = quota("L-C0326783", "Cross-region model inference tokens per minute for Amazon Nova Pro", 800_000.0)
PRO_RPM = quota("L-00000002", "Cross-region model inference requests per minute for Amazon Nova Pro", 200.0)
SONNET_TPM = quota(
    "L-00000003", "Global cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.5 V1", 500_000.0
)
TRN = quota("L-2C3B7624", "Running On-Demand Trn instances", 256.0, service="ec2")


def product(offer, sku, attributes, unit, usd):
    """One element of PriceList, as the text that AWS sends."""
    dimension = {
        "unit": unit, "pricePerUnit": {"USD": str(usd)}, "beginRange": "0", "endRange": "Inf", "description": "",
        "rateCode": f"{sku}.JRTCKXETXF.6YS6EN2CT7", "appliesTo": [],
    }  # fmt: skip
    term = {
        "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": dimension}, "sku": sku, "offerTermCode": "JRTCKXETXF",
        "effectiveDate": "2026-11-01T00:00:00Z", "termAttributes": {},
    }  # fmt: skip
    body = {
        "product": {"productFamily": offer, "attributes": attributes, "sku": sku},
        "serviceCode": offer, "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}}, "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }  # fmt: skip
    return json.dumps(body)


def nova(sku, what, usd, usagetype, name="Nova Pro"):
    """A token price of Amazon's own offer, per thousand tokens."""
    attributes = {"model": name, "inferenceType": what, "usagetype": usagetype, "regionCode": "us-east-1"}
    return product("AmazonBedrock", sku, attributes, "1K tokens", usd)


def claude(sku, usd, usagetype):
    """A token price of the marketplace offer, per million tokens."""
    attributes = {"servicename": "Claude Sonnet 4.5 (Amazon Bedrock Edition)", "usagetype": usagetype}
    return product("AmazonBedrockFoundationModels", sku, attributes, "Units", usd)


NOVA_PRICES = [
    nova("SKU1", "Input tokens", 0.0008, "USE1-NovaPro-input-tokens"),
    nova("SKU2", "Output tokens", 0.0032, "USE1-NovaPro-output-tokens"),
    nova("SKU3", "Prompt cache read input tokens", 0.0002, "USE1-NovaPro-cache-read-input-token-count"),
    nova("SKU4", "Input tokens batch", 0.0004, "USE1-NovaPro-input-tokens-batch"),
]
CLAUDE_PRICES = [
    claude("SKU5", 3.3, "USE1-MP:USE1_InputTokenCount-Units"),
    claude("SKU6", 3.0, "USE1-MP:USE1_InputTokenCount_Global-Units"),
    claude("SKU7", 15.0, "USE1-MP:USE1_OutputTokenCount_Global-Units"),
    claude("SKU8", 7.0, "USE1-MP:USE1_InputTokenCount_Global_LCtx-Units"),
]
TRN2_PRICE = product("AmazonEC2", "SKU9", {"instanceType": "trn1.32xlarge", "usagetype": "BoxUsage"}, "Hrs", 21.5)


def metric(name, model_id, **dimensions):
    """One element of ListMetrics."""
    pairs = [{"Name": "ModelId", "Value": model_id}, *({"Name": k, "Value": v} for k, v in dimensions.items())]
    return {"Namespace": "AWS/Bedrock", "MetricName": name, "Dimensions": pairs}


def data(points, existing=frozenset(), status="Complete"):
    """MetricDataResults for {(metric, model id): [(datetime, value), …]}."""
    ids = {pair: f"q{place}" for place, pair in enumerate(series(set(existing), models()))}
    return [
        {
            "Id": ids[pair], "Label": pair[0], "Timestamps": [stamp for stamp, _ in values],
            "Values": [float(value) for _, value in values], "StatusCode": status,
        }
        for pair, values in points.items()
    ]  # fmt: skip


@dataclass
class Account:
    """Prepared answers by service; `connect` hands out stubbed clients, `actions` says what was called."""

    prepared: dict[str, list[tuple[str, dict | str]]] = field(default_factory=lambda: defaultdict(list))
    actions: list[str] = field(default_factory=list)
    stubbers: list[Stubber] = field(default_factory=list)

    def answers(self, service, operation, response):
        """The next answer of a service; a text is an error code."""
        self.prepared[service].append((operation, response))

    def connect(self, service, region):
        """As `peakday.account.clients.connect`."""
        client = boto3.client(service, region_name=region, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET)
        client.meta.events.register(
            "provide-client-params.*.*", lambda model, **_: self.actions.append(self._action(client, model.name))
        )
        stubber = Stubber(client)
        for operation, response in self.prepared.pop(service, []):
            if isinstance(response, str):
                message = f"User: arn:aws:iam::123456789012:user/x with key {ACCESS_KEY} is not authorized"
                stubber.add_client_error(operation, response, message, 400)
            else:
                stubber.add_response(operation, response)
        stubber.activate()
        self.stubbers.append(stubber)
        return client

    @staticmethod
    def _action(client, api_name):
        methods = {api: method for method, api in client.meta.method_to_api_mapping.items()}
        return action(client, methods[api_name])

    def prepare_quotas(self, bedrock=(PRO_TPM, PRO_RPM, SONNET_TPM), ec2=(TRN,)):
        """Held and default quotas of both services; the held ones of Bedrock on two pages."""
        first, rest = list(bedrock[:1]), list(bedrock[1:])
        if rest:
            self.answers("service-quotas", "list_service_quotas", {"Quotas": first, "NextToken": "more"})
            self.answers("service-quotas", "list_service_quotas", {"Quotas": rest})
        else:
            self.answers("service-quotas", "list_service_quotas", {"Quotas": first})
        self.answers("service-quotas", "list_aws_default_service_quotas", {"Quotas": first})
        self.answers("service-quotas", "list_service_quotas", {"Quotas": list(ec2)})
        self.answers("service-quotas", "list_aws_default_service_quotas", {"Quotas": list(ec2)})

    def prepare_prices(self, nova_rows=NOVA_PRICES, claude_rows=CLAUDE_PRICES, boxes=(TRN2_PRICE,)):
        """Both offers of Bedrock, Amazon's on two pages, and one instance type."""
        self.answers("pricing", "get_products", {"PriceList": list(nova_rows[:1]), "NextToken": "more"})
        self.answers("pricing", "get_products", {"PriceList": list(nova_rows[1:])})
        self.answers("pricing", "get_products", {"PriceList": list(claude_rows)})
        self.answers("pricing", "get_products", {"PriceList": list(boxes)})

    def prepare_usage(self, points, pages=1):
        """One list of metrics, and the points over so many pages."""
        self.answers("cloudwatch", "list_metrics", {"Metrics": [metric("Invocations", PRO)]})
        items = list(points.items())
        for page in range(pages):
            part = dict(items[page::pages])
            last = page == pages - 1
            self.answers(
                "cloudwatch",
                "get_metric_data",
                {"MetricDataResults": data(part), **({} if last else {"NextToken": f"page {page + 1}"})},
            )


def traffic(minutes=3, calls=120.0):
    """A few minutes of Nova Pro."""
    stamps = [datetime(2026, 11, 23, 10, minute, tzinfo=UTC) for minute in range(minutes)]
    per_call = {
        "Invocations": 1.0, "InputTokenCount": 300.0, "CacheReadInputTokenCount": 4_000.0,
        "CacheWriteInputTokenCount": 100.0, "OutputTokenCount": 180.0,
    }  # fmt: skip
    points = {(name, PRO): [(stamp, calls * each) for stamp in stamps] for name, each in per_call.items()}
    points["InvocationLatency", PRO] = [(stamp, 2_400.0) for stamp in stamps]
    points["InvocationThrottles", PRO] = [(stamps[0], 6.0)]
    return points
