/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The maps that all hooks share. Each is pinned once per instance; maps.bpf.c defines them.
 *
 * Names are what a stranger reads in `bpftool map`, so they are words, not abbreviations.
 */
#ifndef VNE_MAPS_BPF_H
#define VNE_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "vne_abi.h"

/* A policy image; replaced as a whole by one update of `policy`. */
struct vne_image_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct vne_page));
};

struct vne_policy_map {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct vne_image_map);
};

/* What the programs know of the application whose cgroup they are attached to. */
struct vne_attachment_map {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct vne_attachment);
};

struct vne_counters_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct vne_counters);
};

/* Application addresses of this host; read in handshakes and for datagrams over loopback only. */
struct vne_owner_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct vne_address);
	__type(value, struct vne_owner);
};

/* What the commands remember of an application; the guard reads it to know one. */
struct vne_application_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct vne_application);
};

struct vne_handshake_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, VNE_HANDSHAKES);
	__type(key, __u32);
	__type(value, struct vne_handshake);
};

struct vne_instance_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct vne_instance);
};

struct vne_denials_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
};

/* Sockets that asked for a wildcard and were bound to the application address: getsockname says the wildcard. */
struct vne_wildcard_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
};

/* What the commands remember of a guarded cgroup. */
struct vne_guarded_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct vne_guarded);
};

struct vne_guard_count_map {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct vne_guard_count);
};

/* Sockets of guarded processes that live in another network namespace than the instance: no packet of theirs is ours.
 */
struct vne_elsewhere_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, __u32);
};

extern struct vne_policy_map policy SEC(".maps");
extern struct vne_attachment_map attachment SEC(".maps");
extern struct vne_counters_map counters SEC(".maps");
extern struct vne_owner_map owner SEC(".maps");
extern struct vne_handshake_map handshake SEC(".maps");
extern struct vne_denials_map denials SEC(".maps");
extern struct vne_wildcard_map wildcard SEC(".maps");
extern struct vne_instance_map instance SEC(".maps");
extern struct vne_guard_count_map guard_count SEC(".maps");
extern struct vne_elsewhere_map elsewhere SEC(".maps");

/* Whom a socket of a guarded process sent its last datagram to, where the kernel chose the source. */
struct vne_asked {
	struct vne_address remote;
	__u32 port;
	__u32 reserved;
};
struct vne_asked_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct vne_asked);
};
extern struct vne_asked_map asked SEC(".maps");

#endif
