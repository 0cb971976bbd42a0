//! The built-in admission plug-ins, by how the reasons of their refusals begin. Read in the source of Kubernetes 1.34
//! to 1.37; each list names its file. A plug-in that only failed (it could not look something up, or is not ready
//! yet) decides nothing, so those texts are left out.

use crate::judge::attribution::words::{after_subject, begins, first};
use crate::model::Layer;

/// A plug-in, the code of its refusals, and how their reasons begin: `"*"` is a quoted name, `*` a word.
type Refusals = (&'static str, u16, &'static [&'static str]);

const PLUGINS: [Refusals; 28] = [
    // plugin/pkg/admission/alwayspullimages: a list of errors is no Status, so the code is 500
    ("AlwaysPullImages", 500, &["spec.* Unsupported value: \"*\": supported values: \"Always\""]),
    // plugin/pkg/admission/deny
    ("AlwaysDeny", 403, &["admission control is denying all modifications"]),
    // plugin/pkg/admission/certificates/approval
    ("CertificateApproval", 403, &["user not permitted to approve requests with signerName "]),
    // plugin/pkg/admission/certificates/signing
    ("CertificateSigning", 403, &["user not permitted to sign requests with signerName "]),
    // plugin/pkg/admission/certificates/subjectrestriction
    (
        "CertificateSubjectRestriction",
        403,
        &["use of * signer with system:masters group is not allowed"],
    ),
    // plugin/pkg/admission/certificates/ctbattest
    ("ClusterTrustBundleAttest", 403, &["user not permitted to attest for signerName "]),
    // plugin/pkg/admission/network/denyserviceexternalips
    ("DenyServiceExternalIPs", 403, &["Use of external IPs is denied by admission control"]),
    // plugin/pkg/admission/eventratelimit
    (
        "EventRateLimit",
        429,
        &[
            "Too many requests: limit reached on type ",
            "Too many requests: [limit reached on type ",
        ],
    ),
    // plugin/pkg/admission/imagepolicy
    (
        "ImagePolicyWebhook",
        403,
        &[
            "image policy webhook backend denied one or more images: ",
            "one or more images rejected by webhook backend",
        ],
    ),
    // plugin/pkg/admission/job (1.36)
    (
        "JobValidation",
        403,
        &["cannot change parallelism for a Job referencing gang-scheduled PodGroup "],
    ),
    // plugin/pkg/admission/antiaffinity
    (
        "LimitPodHardAntiAffinityTopology",
        403,
        &["affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey "],
    ),
    // plugin/pkg/admission/limitranger
    (
        "LimitRanger",
        403,
        &[
            "maximum * usage per * is ",
            "minimum * usage per * is ",
            "* max limit to request ratio per * is ",
        ],
    ),
    // k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle
    (
        "NamespaceLifecycle",
        403,
        &["unable to create new content in namespace ", "this namespace may not be deleted"],
    ),
    // plugin/pkg/admission/nodedeclaredfeatures (1.35)
    (
        "NodeDeclaredFeatureValidator",
        403,
        &[
            "pod update requires features ",
            "node \"*\" does not support ",
            "device \"*\" in ResourceSlice has NodeAllocatableResources but does not map to any nodes",
        ],
    ),
    ("NodeRestriction", 403, &NODE_RESTRICTION),
    // plugin/pkg/admission/gc
    (
        "OwnerReferencesPermissionEnforcement",
        403,
        &[
            "cannot set an ownerRef on a resource you can't delete: ",
            "cannot set blockOwnerDeletion ",
        ],
    ),
    // plugin/pkg/admission/storage/persistentvolume/resize
    (
        "PersistentVolumeClaimResize",
        403,
        &[
            "Only bound persistent volume claims can be expanded",
            "only dynamically provisioned pvc can be resized ",
        ],
    ),
    // plugin/pkg/admission/podgroup (1.36)
    ("PodGroupWorkloadExists", 403, &["PodGroup rejected: "]),
    // plugin/pkg/admission/podnodeselector
    (
        "PodNodeSelector",
        403,
        &[
            "pod node label selector conflicts with its namespace node label selector",
            "pod node label selector labels conflict with its namespace whitelist",
        ],
    ),
    // plugin/pkg/admission/podresize (1.36)
    (
        "PodResizeValidator",
        403,
        &[
            "pod resize is only supported on linux nodes, ",
            "node didn't have enough allocatable resources: ",
        ],
    ),
    // k8s.io/pod-security-admission/admission
    ("PodSecurity", 403, &["violates PodSecurity \""]),
    // plugin/pkg/admission/podtolerationrestriction: an error that is no Status, so the code is 500
    (
        "PodTolerationRestriction",
        500,
        &[
            "pod tolerations (possibly merged with namespace default tolerations) conflict with its ",
        ],
    ),
    // plugin/pkg/admission/priority
    (
        "Priority",
        403,
        &[
            "no PriorityClass with name ",
            "the integer value of priority (",
            "the string value of PreemptionPolicy (",
            "PriorityClass * is already marked as default. ",
            "priority set in the pod group (",
            "priority set in the composite pod group (",
            "preemptionPolicy set in the PriorityClass object (",
        ],
    ),
    // k8s.io/apiserver/pkg/admission/plugin/resourcequota
    (
        "ResourceQuota",
        403,
        &[
            "exceeded quota: ",
            "failed quota: ",
            "status unknown for quota: ",
            "insufficient quota to consume: ",
            "quota usage is negative for resource(s): ",
        ],
    ),
    // ResourceQuota again: an error that is no Status, so the code is 500
    ("ResourceQuota", 500, &["insufficient quota to match these scopes: "]),
    // plugin/pkg/admission/runtimeclass
    (
        "RuntimeClass",
        403,
        &[
            "pod rejected: RuntimeClass ",
            "pod rejected: Pod's Overhead doesn't match ",
            "pod rejected: Pod Overhead set without ",
            "conflict: runtimeClass.scheduling.nodeSelector[",
        ],
    ),
    ("ServiceAccount", 403, &SERVICE_ACCOUNT),
    // ServiceAccount again, about debug containers: an error that is no Status, so the code is 500 (measured on 1.36.3)
    (
        "ServiceAccount",
        500,
        &[
            "ephemeral container * with envFrom referencing secret.secretName=",
            "ephemeral container * with envVar * referencing secret.secretName=",
        ],
    ),
];

/// plugin/pkg/admission/noderestriction
const NODE_RESTRICTION: [&str; 29] = [
    "PodCertificateRequest for pod \"*\" contains serviceAccountName (",
    "PodCertificateRequest.Spec.NodeName=\"*\", which is not the requesting node ",
    "audience \"*\" not found in pod spec volume, * is not authorized to request tokens ",
    "can only access CSINode with the same name as the requesting node",
    "can only access leases in the \"*\" system namespace",
    "can only access node lease with the same name as the requesting node",
    "can only create ResourceSlice with the same NodeName as the requesting node",
    "can only create a node CSR with CN=system:node:",
    "can only delete ResourceSlice with the same NodeName as the requesting node",
    "could not determine node from user ",
    "is not allowed to modify labels: ",
    "may only update PVC status",
    "node \"*\" can not create pods that reference ",
    "node \"*\" can only ",
    "node \"*\" cannot update ",
    "node \"*\" is not allowed to ",
    "node \"*\" must not set blockOwnerDeletion ",
    "node * UID mismatch: ",
    "node * can only evict pods ",
    "node may only request 0 or 1 audiences",
    "node requested token ",
    "pod \"*\" does not mount a podCertificate projected volume for signer ",
    "pod \"*\" is a mirror pod",
    "pod \"*\" is not running on node ",
    "pod does not have \"*\" annotation, node \"*\" can only create mirror pods",
    "system:node:* is not authorized to request tokens for audience ",
    "the UID in the bound object reference (",
    "unexpected operation \"*\", node \"*\" can only create and delete mirror pods",
    "unexpected pod subresource \"*\", only 'status' and 'eviction' are allowed",
];

/// plugin/pkg/admission/serviceaccount
const SERVICE_ACCOUNT: [&str; 9] = [
    "a mirror pod may not ",
    "container * with envFrom referencing secret.secretName=",
    "container * with envVar * referencing secret.secretName=",
    "error looking up service account * serviceaccount \"*\" not found",
    "imagePullSecrets[* is not allowed because service account ",
    "init container * with envFrom referencing secret.secretName=",
    "init container * with envVar * referencing secret.secretName=",
    "no service account specified for pod ",
    "volume with secret.secretName=",
];

/// The plug-in that refuses in these words.
pub fn plugin_layer(code: u16, words: &str) -> Option<Layer> {
    let why = match after_subject(first(words), "forbidden") {
        Some(why) => first(why),
        None if code == 403 => return None,
        None => words,
    };
    let refuses = |refusals: &&Refusals| {
        refusals.1 == code && refusals.2.iter().any(|start| begins(why, start))
    };
    let (plugin, ..) = PLUGINS.iter().find(refuses)?;
    Some(match *plugin {
        "PodSecurity" => Layer::PodSecurity,
        "ResourceQuota" => Layer::Quota,
        other => Layer::AdmissionPlugin(other.to_owned()),
    })
}
