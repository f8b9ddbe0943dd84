"""Configuration of what ships vLLM's logs: Loki, Grafana Alloy and the OpenTelemetry Collector.

All three take JSON and plain lines in one stream, since vLLM's own JSON has lines of libraries
between; and no request id becomes a label: each would be a stream of its own.
"""

from typing import Any

__all__ = ["LABELS", "alloy", "collector", "loki"]

LABELS = ("namespace", "pod", "container", "level")
"""All that is indexed; what there is one of for each request goes into structured metadata."""
METADATA = ("request_id", "trace_id", "process")

# As ``entry`` reads plain text, in RE2, which both shippers use.
_TEXT = (
    r"^(?:\((?P<process>[A-Za-z][\w-]*)(?: [^()]*)?\) )?"
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)(?: (?P<time>\d\d-\d\d \d\d:\d\d:\d\d)|:)"
)
# The trace id is the X-Request-Id that the load generator and many gateways send.
_REQUEST = (
    r"(?P<request_id>(?:chatcmpl|cmpl|embd)-(?:(?P<trace_id>[0-9a-f]{32})|[\w-]+?)(?:-\d+)?)[:. ,]"
)


def loki() -> dict[str, Any]:
    """A single Loki that takes structured metadata and OTLP."""
    return {
        "auth_enabled": False,
        "server": {"http_listen_port": 3100},
        "common": {
            "path_prefix": "/loki",
            "replication_factor": 1,
            "ring": {"kvstore": {"store": "inmemory"}},
            "storage": {
                "filesystem": {
                    "chunks_directory": "/loki/chunks",
                    "rules_directory": "/loki/rules",
                }
            },
        },
        # Structured metadata needs this schema.
        "schema_config": {
            "configs": [
                {
                    "from": "2024-04-01",
                    "store": "tsdb",
                    "object_store": "filesystem",
                    "schema": "v13",
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        "limits_config": {
            "allow_structured_metadata": True,
            "max_label_names_per_series": 15,
            "retention_period": "168h",
            "otlp_config": {
                "resource_attributes": {
                    "attributes_config": [
                        {
                            "action": "index_label",
                            "attributes": [
                                "k8s.namespace.name",
                                "k8s.pod.name",
                                "k8s.container.name",
                            ],
                        }
                    ]
                }
            },
        },
        "compactor": {"retention_enabled": True, "delete_request_store": "filesystem"},
    }


def collector(endpoint: str, include: str) -> dict[str, Any]:
    """An OpenTelemetry Collector that reads container logs and sends them to Loki over OTLP.

    ``endpoint`` is Loki's OTLP address, ``include`` a pattern of files.
    """
    return {
        "receivers": {
            "filelog": {
                "include": [include],
                "include_file_path": True,
                "max_log_size": "1MiB",
                "start_at": "end",
                "operators": _operators(),
            }
        },
        "processors": {"batch": {}},
        "exporters": {"otlphttp/loki": {"endpoint": endpoint}},
        "service": {
            "pipelines": {
                "logs": {
                    "receivers": ["filelog"],
                    "processors": ["batch"],
                    "exporters": ["otlphttp/loki"],
                }
            }
        },
    }


def _operators() -> list[dict[str, Any]]:
    """What is done to a line: JSON or text, its time, level, message, request and trace."""
    is_json = r'body matches "^\\{"'
    return [
        {"type": "container"},  # what CRI or Docker put before a line, and the pod's name
        {
            "type": "router",
            "id": "kind",
            "default": "plain",
            "routes": [{"expr": is_json, "output": "json"}],
        },
        {
            "type": "json_parser",
            "id": "json",
            "parse_from": "body",
            "parse_to": "attributes.line",
            "on_error": "send_quiet",
            "timestamp": {
                "parse_from": "attributes.line.asctime",
                "layout": "%Y-%m-%d %H:%M:%S,%L",
                "on_error": "send_quiet",
            },
            "severity": {"parse_from": "attributes.line.levelname", "on_error": "send_quiet"},
            "output": "message",
        },
        {
            "type": "move",
            "id": "message",
            "from": "attributes.line.message",
            "to": "body",
            "on_error": "send_quiet",
            "output": "request",
        },
        {
            "type": "regex_parser",
            "id": "plain",
            "regex": _TEXT,
            "parse_from": "body",
            "on_error": "send_quiet",
            "severity": {"parse_from": "attributes.level", "on_error": "send_quiet"},
            "output": "request",
        },
        {
            "type": "regex_parser",
            "id": "request",
            "regex": _REQUEST,
            "parse_from": "body",
            "on_error": "send_quiet",
            "trace": {
                "trace_id": {"parse_from": "attributes.trace_id"},
                "on_error": "send_quiet",
            },
        },
    ]


_ALLOY = """\
// vLLM's pods to Loki.  Labels: {labels}; request ids are structured metadata.
discovery.kubernetes "pods" {{
  role = "pod"{namespaces}
}}

discovery.relabel "vllm" {{
  targets = discovery.kubernetes.pods.targets
  rule {{
    source_labels = ["__meta_kubernetes_pod_label_{selector}"]
    regex         = "{value}"
    action        = "keep"
  }}
  rule {{
    source_labels = ["__meta_kubernetes_namespace"]
    target_label  = "namespace"
  }}
  rule {{
    source_labels = ["__meta_kubernetes_pod_name"]
    target_label  = "pod"
  }}
  rule {{
    source_labels = ["__meta_kubernetes_pod_container_name"]
    target_label  = "container"
  }}
}}

loki.source.kubernetes "vllm" {{
  targets    = discovery.relabel.vllm.output
  forward_to = [loki.process.vllm.receiver]
}}

loki.process "vllm" {{
  forward_to = [loki.write.default.receiver]

  // A line that is no JSON passes unchanged.
  stage.match {{
    selector = "{{container!=\\"\\"}} |~ \\"^\\\\\\\\{{\\""
    stage.json {{
      expressions = {{
        level   = "levelname",
        process = "vllm_process_name",
        time    = "asctime",
      }}
      drop_malformed = false
    }}
    stage.timestamp {{
      source            = "time"
      format            = "2006-01-02 15:04:05,000"
      action_on_failure = "skip"
    }}
  }}
  stage.match {{
    selector = "{{container!=\\"\\"}} !~ \\"^\\\\\\\\{{\\""
    stage.regex {{
      expression = `{text}`
    }}
  }}
  stage.regex {{
    expression = `{request}`
  }}
  stage.labels {{
    values = {{ level = "" }}
  }}
  stage.structured_metadata {{
    values = {{ {metadata} }}
  }}
}}

loki.write "default" {{
  endpoint {{
    url = "{url}"
  }}
}}
"""


def alloy(url: str, selector: str, value: str, namespace: str | None = None) -> str:
    """A Grafana Alloy configuration that reads pods with a label and pushes to Loki's ``url``.

    ``value`` is a regular expression for the label's whole value; with a ``namespace`` a Role of
    that namespace is rights enough.
    """
    within = f'\n  namespaces {{\n    names = ["{namespace}"]\n  }}' if namespace else ""
    return _ALLOY.format(
        namespaces=within,
        labels=", ".join(LABELS),
        selector="".join(c if c.isalnum() else "_" for c in selector),
        value=value,
        text=_TEXT,
        request=_REQUEST,
        metadata=", ".join(f'{name} = ""' for name in METADATA),
        url=url,
    )
