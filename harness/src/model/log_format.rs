//! In which envelope audit events come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the lines of an audit log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// As the API server writes them: an Event a line, or an `EventList` a line as its webhook backend sends it.
    Kubernetes,
    /// What `aws logs filter-log-events` prints, as one document or an event a line.
    Eks,
    /// Azure's diagnostic records, one a line or as `{"records": […]}`.
    Aks,
    /// Rows of Azure's table `AKSAudit`, as `az monitor log-analytics query` prints them.
    AksTable,
    /// What `gcloud logging read --format=json` prints.
    Gke,
    /// What `oc adm node-logs` prints: the node's name stands before each Event.
    #[serde(rename = "openshift")]
    OpenShift,
}

impl LogFormat {
    /// Every format.
    pub const ALL: [LogFormat; 6] = [
        LogFormat::Kubernetes,
        LogFormat::Eks,
        LogFormat::Aks,
        LogFormat::AksTable,
        LogFormat::Gke,
        LogFormat::OpenShift,
    ];

    /// As files and messages name it.
    pub fn label(self) -> &'static str {
        match self {
            LogFormat::Kubernetes => "kubernetes",
            LogFormat::Eks => "eks",
            LogFormat::Aks => "aks",
            LogFormat::AksTable => "aks-table",
            LogFormat::Gke => "gke",
            LogFormat::OpenShift => "openshift",
        }
    }

    /// Why events that come in it are in no order from which anything follows; `None` where they come as the API server has
    /// written them, one after the other.
    pub fn disorder(self) -> Option<&'static str> {
        match self {
            LogFormat::Kubernetes | LogFormat::OpenShift => None,
            LogFormat::Eks | LogFormat::Aks | LogFormat::AksTable | LogFormat::Gke => Some(
                "what a vendor keeps may come from several API servers, and in another order than they wrote it",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_named_in_one_way() {
        for format in LogFormat::ALL {
            let named = serde_json::to_value(format).expect("JSON");
            assert_eq!(named, format.label());
        }
    }
}
