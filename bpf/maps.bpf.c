/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#include "maps.bpf.h"

struct vne_policy_map policy SEC(".maps");
struct vne_attachment_map attachment SEC(".maps");
struct vne_counters_map counters SEC(".maps");
struct vne_owner_map owner SEC(".maps");
struct vne_application_map application SEC(".maps");
struct vne_handshake_map handshake SEC(".maps");
struct vne_instance_map instance SEC(".maps");
struct vne_denials_map denials SEC(".maps");
struct vne_wildcard_map wildcard SEC(".maps");
struct vne_guarded_map guarded SEC(".maps");
struct vne_guard_count_map guard_count SEC(".maps");
struct vne_elsewhere_map elsewhere SEC(".maps");
struct vne_asked_map asked SEC(".maps");

char LICENSE[] SEC("license") = "Dual BSD/GPL";
