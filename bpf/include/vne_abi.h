/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/**
 * Every byte that crosses between the kernel half (bpf/) and the Swift half (Sources/VNEBPF).
 *
 * Included by both; nothing here may need libc. Addresses and ports are in host byte order unless a name ends in
 * `_be`. Enumerations that are stored in maps are stored as raw __u32: a value that no enumerator has must stay
 * representable. Zero means deny wherever a structure can be met before it was written.
 */
#ifndef VNE_ABI_H
#define VNE_ABI_H

#include <linux/types.h>

#pragma clang diagnostic push
#pragma clang diagnostic error "-Wpadded"

/** Changes with every change of a layout or a meaning below; a pinned instance of another version is refused. */
#define VNE_ABI_VERSION 1u
/** First word of a policy image: "VNE1" read as a little-endian number. */
#define VNE_IMAGE_MAGIC 0x31454e56u

/** Longest names, in bytes, without the terminating zero (each array below holds one byte more). */
#define VNE_NAME_MAX 63
#define VNE_HOSTNAME_MAX 253
#define VNE_CGROUP_PATH_MAX 1023

/* ------------------------------------------------------------------ hooks and reasons */

/** The hook families that judge, and that count what they judged. */
enum vne_hook {
	VNE_HOOK_CREATE = 0,
	VNE_HOOK_BIND = 1,
	VNE_HOOK_CONNECT = 2,
	VNE_HOOK_SEND = 3,
	VNE_HOOK_INGRESS = 4,
	VNE_HOOK_EGRESS = 5,
};
#define VNE_HOOKS 6

/**
 * Why a call or a packet was allowed or denied. Values below VNE_REASON_FIRST_DENIAL allow, the others deny.
 * In audit mode a *reachability* denial (VNE_REASON_FIRST_REACHABILITY and above) is recorded and let through.
 */
enum vne_reason {
	/** Nothing to judge: a bind or a socket that the rules allow. */
	VNE_REASON_PERMITTED_USE = 0,
	/** The peer is in the application's own environment. */
	VNE_REASON_OWN_ENVIRONMENT = 1,
	/** A permit of the policy covers it. */
	VNE_REASON_PERMIT = 2,
	/** It answers a flow that was let through the other way. */
	VNE_REASON_ANSWER = 3,
	/** The host, and the environment allows the host. */
	VNE_REASON_HOST = 4,
	/** The rest of the world, by the environment's remote policy. */
	VNE_REASON_REMOTE = 5,
	/** A link-local peer, and the environment allows them. */
	VNE_REASON_LINK_LOCAL = 6,
	/** The resolver of /etc/resolv.conf on a loopback address. */
	VNE_REASON_RESOLVER = 7,

	/** No configuration, a half-made attachment, or no policy: deny. */
	VNE_REASON_UNCONFIGURED = 8,
	/** The socket lives in another network namespace than the instance. */
	VNE_REASON_FOREIGN_NAMESPACE = 9,
	/** A protocol or family that these hooks do not cover. */
	VNE_REASON_PROTOCOL = 10,
	/** Bind to an address that is not the application's. */
	VNE_REASON_FOREIGN_ADDRESS = 11,
	/** The application address could not be forced as the source. */
	VNE_REASON_SOURCE = 12,
	/** A packet for an address that is not the application's. */
	VNE_REASON_NOT_ADDRESSED = 13,
	/** Native IPv6, and the application has no IPv6 address. */
	VNE_REASON_NO_IPV6 = 14,
	/** A packet that could not be parsed. */
	VNE_REASON_MALFORMED = 15,
	/** A source that cannot come from where the packet came from. */
	VNE_REASON_FORGED = 16,
	/** Loopback: private, and not given out yet. */
	VNE_REASON_LOOPBACK = 17,

	/** Another environment, and no permit covers it. */
	VNE_REASON_OTHER_ENVIRONMENT = 18,
	/** Inside the address space, in no environment. */
	VNE_REASON_UNASSIGNED = 19,
	/** The host, and the environment denies the host. */
	VNE_REASON_HOST_DENIED = 20,
	/** The rest of the world, denied by the remote policy. */
	VNE_REASON_REMOTE_DENIED = 21,
	/** A link-local peer, and the environment does not allow them. */
	VNE_REASON_LINK_LOCAL_DENIED = 22,
	/** A multicast group. */
	VNE_REASON_MULTICAST = 23,
	/** A broadcast address. */
	VNE_REASON_BROADCAST = 24,
};
#define VNE_REASON_FIRST_DENIAL 8
#define VNE_REASON_FIRST_REACHABILITY 18
#define VNE_REASONS 25

/* ------------------------------------------------------------------ the policy image */

/**
 * A policy image is an array map of pages. Publishing a policy is one update of the outer map `policy`, so no call
 * and no packet is ever judged by half a policy. Page 0 is the header.
 */
#define VNE_PAGE_WORDS 256
#define VNE_PAGE_SIZE (VNE_PAGE_WORDS * 4)

/** One page of a policy image: the value type of the inner array map. */
struct vne_page {
	__u32 words[VNE_PAGE_WORDS];
};

/**
 * An entry classifies an address, or points to what does: kind in the upper four bits, index in the other 28.
 * An address table is a tree of entries: a root indexed by the upper bits, pages indexed by eight bits each.
 */
enum vne_entry_kind {
	/** Outside the address space: the rest of the world. */
	VNE_ENTRY_REMOTE = 0,
	/** An address of this host. */
	VNE_ENTRY_HOST = 1,
	/** 127.0.0.0/8, and 0.0.0.0, which a connect takes as loopback. */
	VNE_ENTRY_LOOPBACK = 2,
	/** 169.254.0.0/16. */
	VNE_ENTRY_LINK_LOCAL = 3,
	/** 224.0.0.0/4. */
	VNE_ENTRY_MULTICAST = 4,
	/** 255.255.255.255, and the broadcast addresses of the host's networks. */
	VNE_ENTRY_BROADCAST = 5,
	/** Inside the address space, in no environment. */
	VNE_ENTRY_UNASSIGNED = 6,
	/** In the environment with this id. */
	VNE_ENTRY_ENVIRONMENT = 7,
	/** In the environment with this id, and named by the policy as an application's address. */
	VNE_ENTRY_RESERVED = 8,
	/** A list of rules: the index is that of its first rule. */
	VNE_ENTRY_RULES = 9,
	/** The page with this number, indexed by the next eight bits. */
	VNE_ENTRY_TABLE = 10,
};
#define VNE_ENTRY_SHIFT 28
#define VNE_ENTRY_INDEX_MASK 0x0fffffffu
/** Pages of the owner table's root, which is indexed by the upper 16 bits of an address. */
#define VNE_ROOT_PAGES 256

/** An address and port that every application may talk to although it is on loopback. */
struct vne_shared_service {
	__u32 address;
	/** Host byte order. */
	__u32 port;
};
#define VNE_SHARED_MAX 8
#define VNE_INTERFACES_MAX 16

/** Page 0 of a policy image. All `…_page` are page numbers. */
struct vne_image_header {
	__u32 magic;
	__u32 abi_version;
	__u32 page_count;
	/** Counts publications; never goes back within an instance. */
	__u32 generation;
	/** First of the VNE_ROOT_PAGES pages that classify every IPv4 address. */
	__u32 owner_page;
	/** VNE_ENVIRONMENT_PAGE, where the `struct vne_environment` records start, VNE_ENVIRONMENTS_PER_PAGE each. */
	__u32 environment_page;
	/** Records in the environment table; an id is an index into it. */
	__u32 environment_count;
	/** First page of __u32 environment ids in the byte order of their names, for lookup by name. */
	__u32 name_page;
	/** Ids in the name index: named, valid environments only. */
	__u32 name_count;
	/** First page of the permit slots, VNE_PERMITS_PER_PAGE each. */
	__u32 permit_page;
	/** Number of permit slots less one; the number is a power of two. */
	__u32 permit_mask;
	/** First page of `struct vne_rule`, VNE_RULES_PER_PAGE each. */
	__u32 rule_page;
	/** Rules in the rule table. */
	__u32 rule_count;
	/** First page of the policy file's text (UTF-8), and its length in bytes. */
	__u32 text_page;
	__u32 text_length;
	/**
	 * Nonzero once flow entries count. A policy that revokes something is published with zero here, and opened when
	 * no program can run under the old one any more.
	 */
	__u32 flows_open;
	/** Flow entries stamped at or before this time (unit: VNE_FLOW_CLOCK_SHIFT) do not count. */
	__u32 flow_floor;
	/** Interfaces besides this host's own loopback on which a source in the address space is believed. */
	__u32 interface_count;
	__u32 interfaces[VNE_INTERFACES_MAX];
	__u32 shared_count;
	__u32 reserved;
	struct vne_shared_service shared[VNE_SHARED_MAX];
	/** The policy file's name as it was given, for messages that name a line. */
	char source[256];
};

/** One rule of a list. A list ends with the rule that has VNE_RULE_LAST; what no rule matches is denied. */
struct vne_rule {
	/** Bits 0–7: protocol number, 0 for any. Then VNE_RULE_…. */
	__u32 match;
	/** Lower 16 bits: first port, upper 16 bits: last port. Ports of ping are 0. */
	__u32 ports;
};
#define VNE_RULE_ALLOW 0x100u
#define VNE_RULE_LAST 0x200u
#define VNE_RULES_PER_PAGE (VNE_PAGE_SIZE / 8)
/** Longest list that the kernel reads; a longer one is refused when the policy is compiled. */
#define VNE_RULES_MAX 64
/** The lists every image starts with: rule 0 denies everything, rule 1 allows everything. */
#define VNE_RULES_DENY_ALL 0u
#define VNE_RULES_ALLOW_ALL 1u

/** What a VNE's policy says, indexed by its id. An unused id is all zero, which denies. */
struct vne_environment {
	__u32 flags;
	/** enum vne_protocol bits that sockets may have. */
	__u32 protocols;
	/** The prefix, if the environment is exactly one (VNE_ENVIRONMENT_ONE_PREFIX): network and mask. */
	__u32 own_network;
	__u32 own_mask;
	/** Entries (VNE_ENTRY_RULES or VNE_ENTRY_TABLE with eight bits a level) for new flows from and to remotes. */
	__u32 remote_in;
	__u32 remote_out;
	/** The record's own id ^ VNE_ENVIRONMENT_SELF: tells a record from any other word of the image. */
	__u32 self;
	__u32 reserved[9];
	char name[VNE_NAME_MAX + 1];
};
/** First page of the environment records in every image: the packet path finds them without reading the header. */
#define VNE_ENVIRONMENT_PAGE 1u
/** No entry has this kind, so no address table can be taken for a record. */
#define VNE_ENVIRONMENT_SELF 0xf56e4e45u
#define VNE_ENVIRONMENTS_PER_PAGE (VNE_PAGE_SIZE / 128)
/** The record is in use. */
#define VNE_ENVIRONMENT_VALID 0x1u
#define VNE_ENVIRONMENT_ONE_PREFIX 0x2u
#define VNE_ENVIRONMENT_HOST 0x4u
#define VNE_ENVIRONMENT_LINK_LOCAL 0x8u
/** Reachability denials are recorded and let through. */
#define VNE_ENVIRONMENT_AUDIT 0x10u
/** Egress is judged too. */
#define VNE_ENVIRONMENT_STRICT 0x20u

#define VNE_PROTOCOL_TCP 0x1u
#define VNE_PROTOCOL_UDP 0x2u
#define VNE_PROTOCOL_PING 0x4u

/** A permit: new flows from an environment to another one, or to one address of it. A slot with from 0 is free. */
struct vne_permit {
	/** enum vne_permit_target in the upper four bits, the environment's id in the others. */
	__u32 from;
	/** The other environment's id, or the address. */
	__u32 to;
	/** Index of the first rule of the list that new flows must match. */
	__u32 rules;
	__u32 reserved;
};
#define VNE_PERMITS_PER_PAGE (VNE_PAGE_SIZE / 16)
/** `to` of a permit is an environment's id, or an address. */
#define VNE_PERMIT_TO_ENVIRONMENT 0x10000000u
#define VNE_PERMIT_TO_ADDRESS 0x20000000u
/** No permit lies further than this from its hash slot; the compiler takes a larger table otherwise. */
#define VNE_PERMIT_PROBES 8

/** The slot where the search for a permit starts, before `& permit_mask`. */
static inline __u32 vne_permit_hash(__u32 from, __u32 to)
{
	__u32 h = from * 0x9e3779b1u ^ to;

	h ^= h >> 15;
	h *= 0x85ebca77u;
	h ^= h >> 13;
	h *= 0xc2b2ae3du;
	return h ^ h >> 16;
}

/* ------------------------------------------------------------------ attachments */

/** An attachment judges; anything else in `state` denies. */
#define VNE_ATTACHMENT_OPEN 1u

/** The flow table: sets of ways, indexed by a hash of the key. */
#define VNE_FLOW_SETS 256
#define VNE_FLOW_WAYS 4
/** Flow stamps are the coarse monotonic clock in nanoseconds, shifted right by this: about a millisecond. */
#define VNE_FLOW_CLOCK_SHIFT 20
/** A flow that was not refreshed for this long (same unit, about two minutes) is over. */
#define VNE_FLOW_TIMEOUT 114440u
/** The lowest bit of a stamp tells who began: 0 the application, 1 the peer. */
#define VNE_FLOW_INCOMING 1u

/** At most this many denials a second and application enter the ring buffer. */
#define VNE_EVENTS_PER_SECOND 64u

/**
 * What the programs know of one application: the value of the cgroup storage map `attachment` (key: cgroup id, __u64).
 * It exists from the first attached program on, and is all zero until it is written, which denies. Writing it through
 * bpf(2) replaces it as a whole, so no program ever sees half of it.
 */
struct vne_attachment {
	/** VNE_ATTACHMENT_OPEN, or deny. */
	__u32 state;
	/** Id of the application's environment. */
	__u32 environment;
	/** The application address, host byte order. */
	__u32 address;
	/** Depth of the cgroup below the root of the hierarchy, for bpf_sk_ancestor_cgroup_id(). */
	__u32 level;
	/** The cgroup's id. */
	__u64 cgroup;
	/** SO_NETNS_COOKIE of the instance's network namespace. */
	__u64 netns;
	/** Where `::` with IPV6_V6ONLY is bound; nothing is received on it. Network byte order. */
	__u32 placeholder6_be[4];
	/** Denials recorded in the current second, for the rate limit. */
	__u32 event_second;
	__u32 event_count;
	__u64 reserved;
	/** Remote address << 32 | remote port << 16 | local port; ping: identifier as local port. 0: free. */
	__u64 flow_keys[VNE_FLOW_SETS][VNE_FLOW_WAYS];
	__u32 flow_stamps[VNE_FLOW_SETS][VNE_FLOW_WAYS];
};

/** Counters of one application: value of the per-CPU cgroup storage map `counters` (key: cgroup id, __u64). */
struct vne_counters {
	/** Verdicts by hook and reason. */
	__u64 verdicts[VNE_HOOKS][VNE_REASONS];
	/** Denials that audit mode let through, by hook. */
	__u64 audited[VNE_HOOKS];
};

/**
 * Handshakes that applications of this host let in a moment ago: value of the array map `handshake`, found by a hash of
 * the connection. A SYN-ACK over loopback is believed if the application that it comes from let the SYN in.
 */
struct vne_handshake {
	/** Client's address << 32 | server's address. */
	__u64 addresses;
	/** Client's port << 48 | server's port << 32 | time, in the unit of flow stamps. */
	__u64 ports;
};
#define VNE_HANDSHAKES 4096
/** How long a SYN vouches for its SYN-ACK, in the unit of flow stamps. */
#define VNE_HANDSHAKE_TIMEOUT 64u

/** Who owns an application address on this host: value of the hash map `owner` (key: address, host order, __u32). */
struct vne_owner {
	__u64 cgroup;
	__u32 level;
	__u32 environment;
};

/** An attachment is being made or taken away; a command that finds it finishes what was begun. */
#define VNE_APPLICATION_ATTACHING 1u
#define VNE_APPLICATION_ATTACHED 2u
#define VNE_APPLICATION_DETACHING 3u

/** Named by the policy file, not only by a command. */
#define VNE_APPLICATION_FROM_POLICY 0x1u
/** The egress hook is attached. */
#define VNE_APPLICATION_EGRESS 0x2u
/** Made by `exec`, whose process id is in `launcher`; ends with it. */
#define VNE_APPLICATION_TRANSIENT 0x4u
/** The attachment added the address to the interface, and takes it away. */
#define VNE_APPLICATION_OWNS_ADDRESS 0x8u

/** What is remembered of an attached application: value of the hash map `application` (key: cgroup id, __u64). */
struct vne_application {
	__u32 state;
	__u32 flags;
	__u32 address;
	__u32 environment;
	__u32 level;
	/** Process id of the launching `exec`, and its start time in clock ticks since boot. */
	__u32 launcher;
	__u64 launcher_start;
	char name[VNE_NAME_MAX + 1];
	char environment_name[VNE_NAME_MAX + 1];
	char hostname[VNE_HOSTNAME_MAX + 3];
	/** Relative to the cgroup2 mount, without a leading slash. */
	char cgroup_path[VNE_CGROUP_PATH_MAX + 1];
};

/** What the instance is: the only value of the array map `instance`. */
struct vne_instance {
	__u32 abi_version;
	/** Nonzero once loading went through. */
	__u32 ready;
	/** SO_NETNS_COOKIE of the namespace that the instance serves. */
	__u64 netns;
	/** Identifies the build that loaded the programs: digest of the embedded object. */
	__u64 programs;
};

/* ------------------------------------------------------------------ events */

/** A denial, in the ring buffer `denials`. */
struct vne_event {
	/** CLOCK_MONOTONIC, nanoseconds. */
	__u64 time;
	/** The application's cgroup. */
	__u64 cgroup;
	/** enum vne_hook, enum vne_reason. */
	__u32 hook;
	__u32 reason;
	/** Nonzero: audit mode let it through. */
	__u32 audited;
	/** IPPROTO_…, 0 if unknown. */
	__u32 protocol;
	/** The peer, host byte order; 0 if there is none. */
	__u32 remote_address;
	__u32 local_address;
	__u16 remote_port;
	__u16 local_port;
	/** The calling process; 0 in the packet hooks, which run in no process's context. */
	__u32 process;
	char command[16];
};

#pragma clang diagnostic pop
#endif
