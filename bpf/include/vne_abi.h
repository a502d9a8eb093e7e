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
#define VNE_ABI_VERSION 5u
/** First word of a policy image: "VNE1" read as a little-endian number. */
#define VNE_IMAGE_MAGIC 0x31454e56u

/** Longest names, in bytes, without the terminating zero (each array below holds one byte more). */
#define VNE_NAME_MAX 63
#define VNE_HOSTNAME_MAX 253
#define VNE_CGROUP_PATH_MAX 1023

/* ------------------------------------------------------------------ addresses */

/**
 * An address of either family as one 128-bit number, host byte order: an IPv4 address is its IPv4-mapped IPv6 address,
 * so that the two spellings are the same value everywhere. All zero where there is none.
 */
struct vne_address {
	/** The upper 64 bits; 0 for IPv4. */
	__u64 high;
	/** The lower 64 bits; for IPv4 VNE_ADDRESS_IPV4 with the address in the lower 32. */
	__u64 low;
};
#define VNE_ADDRESS_IPV4 0xffff00000000ull

/* ------------------------------------------------------------------ hooks and reasons */

/** The hook families that judge, and that count what they judged. */
enum vne_hook {
	VNE_HOOK_CREATE = 0,
	VNE_HOOK_BIND = 1,
	VNE_HOOK_CONNECT = 2,
	VNE_HOOK_SEND = 3,
	VNE_HOOK_INGRESS = 4,
	VNE_HOOK_EGRESS = 5,
	/** A call that would lead round the others: leaving the cgroup, bpf(2), administering the network. */
	VNE_HOOK_SYSTEM = 6,
};
#define VNE_HOOKS 7

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
	/** A service on a loopback address that all applications share: the resolver of /etc/resolv.conf. */
	VNE_REASON_SHARED = 7,
	/** The application's own private loopback. */
	VNE_REASON_OWN_LOOPBACK = 8,
	/** A multicast group or a broadcast address, and the environment allows them. */
	VNE_REASON_GROUP = 9,

	/** No configuration, a half-made attachment, or no policy: deny. */
	VNE_REASON_UNCONFIGURED = 10,
	/** The socket lives in another network namespace than the instance. */
	VNE_REASON_FOREIGN_NAMESPACE = 11,
	/** A protocol or family that these hooks do not cover. */
	VNE_REASON_PROTOCOL = 12,
	/** Bind to an address that is not the application's. */
	VNE_REASON_FOREIGN_ADDRESS = 13,
	/** The application address could not be forced as the source. */
	VNE_REASON_SOURCE = 14,
	/** A packet for an address that is not the application's. */
	VNE_REASON_NOT_ADDRESSED = 15,
	/** A family in which the application has no address. */
	VNE_REASON_NO_FAMILY = 16,
	/** A packet that could not be parsed. */
	VNE_REASON_MALFORMED = 17,
	/** A source that cannot come from where the packet came from. */
	VNE_REASON_FORGED = 18,
	/** Loopback, and nothing of the application's own listens there. */
	VNE_REASON_LOOPBACK = 19,
	/** A process that would leave the application's cgroup, or start in another one. */
	VNE_REASON_MEMBERSHIP = 20,
	/** bpf(2), or a use of CAP_NET_ADMIN over the host. */
	VNE_REASON_ADMINISTRATION = 21,

	/** Another environment, and no permit covers it. */
	VNE_REASON_OTHER_ENVIRONMENT = 22,
	/** Inside the address space, in no environment. */
	VNE_REASON_UNASSIGNED = 23,
	/** The host, and the environment denies the host. */
	VNE_REASON_HOST_DENIED = 24,
	/** The rest of the world, denied by the remote policy. */
	VNE_REASON_REMOTE_DENIED = 25,
	/** A link-local peer, and the environment does not allow them. */
	VNE_REASON_LINK_LOCAL_DENIED = 26,
	/** A multicast group, and the environment does not allow them. */
	VNE_REASON_MULTICAST = 27,
	/** A broadcast address, and the environment does not allow groups. */
	VNE_REASON_BROADCAST = 28,
	/** An abstract Unix socket that is not the application's own. */
	VNE_REASON_UNIX = 29,
};
#define VNE_REASON_FIRST_DENIAL 10
#define VNE_REASON_FIRST_REACHABILITY 22
#define VNE_REASONS 30

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
 * An address table is a tree of entries. For IPv4: a root indexed by the upper bits, pages indexed by eight bits each.
 * For IPv6: pages indexed by one byte each, and comparisons that skip the bytes in which nothing differs, so that its
 * depth is that of the policy's prefixes and not that of an address.
 */
enum vne_entry_kind {
	/** Outside the address space: the rest of the world. */
	VNE_ENTRY_REMOTE = 0,
	/** An address of this host. */
	VNE_ENTRY_HOST = 1,
	/** 127.0.0.0/8, ::1 and the private ones, and 0.0.0.0 and ::, which a connect takes as loopback. */
	VNE_ENTRY_LOOPBACK = 2,
	/** 169.254.0.0/16 and fe80::/10. */
	VNE_ENTRY_LINK_LOCAL = 3,
	/** 224.0.0.0/4 and ff00::/8. */
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
	/**
	 * A page, indexed by one byte of the address: the page's number in the lower 24 bits of the index, the byte's
	 * position in the upper four (0 is the most significant of the sixteen; IPv4's are 12 to 15).
	 */
	VNE_ENTRY_TABLE = 10,
	/** IPv6 only: the comparison with this number leads on. */
	VNE_ENTRY_COMPARE = 11,
};
#define VNE_ENTRY_SHIFT 28
#define VNE_ENTRY_INDEX_MASK 0x0fffffffu
#define VNE_TABLE_PAGE_MASK 0x00ffffffu
#define VNE_TABLE_BYTE_SHIFT 24
/** Pages of the owner table's root, which is indexed by the upper 16 bits of an address. */
#define VNE_ROOT_PAGES 256

/** Leads to one of two entries of an IPv6 tree, by whether `(address & mask) == network`. */
struct vne_compare {
	struct vne_address network;
	struct vne_address mask;
	__u32 matched;
	__u32 otherwise;
	__u64 reserved[3];
};
#define VNE_COMPARES_PER_PAGE (VNE_PAGE_SIZE / 64)
/** No look-up takes more steps: one for each byte at most, and a chain of three comparisons at the leaf. */
#define VNE_STEPS_MAX 20

/** An address and port that every application may talk to although it is on loopback. */
struct vne_shared_service {
	struct vne_address address;
	__u32 port;
	__u32 reserved;
};
#define VNE_SHARED_MAX 8
#define VNE_INTERFACES_MAX 16

/** Which applications' hostnames the hosts file has. */
enum vne_hostnames {
	/** Those of applications that are attached on this host. */
	VNE_HOSTNAMES_ATTACHED = 0,
	VNE_HOSTNAMES_NONE = 1,
	/** Every application's to which the policy gives an address, wherever it runs. */
	VNE_HOSTNAMES_ALL = 2,
};

/** Page 0 of a policy image. All `…_page` are page numbers. */
struct vne_image_header {
	__u32 magic;
	__u32 abi_version;
	__u32 page_count;
	/** Counts publications; never goes back within an instance. */
	__u32 generation;
	/** First of the VNE_ROOT_PAGES pages that classify every IPv4 address. */
	__u32 owner_page;
	/** The entry that classifies every IPv6 address. */
	__u32 owner6;
	/** First page of `struct vne_compare`, VNE_COMPARES_PER_PAGE each. */
	__u32 compare_page;
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
	/** Which hostnames are in the hosts file: an `enum vne_hostnames`. The agent's, as `interface` is. */
	__u32 hostnames;
	struct vne_shared_service shared[VNE_SHARED_MAX];
	/** What wildcards of guarded processes become, and their source towards the address space; all zero for none.
	 */
	struct vne_address guard4;
	struct vne_address guard6;
	/** The policy file's name as it was given, for messages that name a line. */
	char source[256];
	/** The interface that carries application addresses; empty for the instance's own. */
	char interface[16];
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

/** What decides without a look-up about most of what an application does: with its own environment. */
struct vne_own {
	/** VNE_ENVIRONMENT_…. */
	__u32 flags;
	/** enum vne_protocol bits that sockets may have. */
	__u32 protocols;
	/** The environment's first IPv4 prefix, the only one with VNE_ENVIRONMENT_ONE_PREFIX4; mask 0: it has none. */
	__u32 network4;
	__u32 mask4;
	/** The same of IPv6, with VNE_ENVIRONMENT_ONE_PREFIX6. */
	struct vne_address network6;
	struct vne_address mask6;
};

/** What a VNE's policy says, indexed by its id. An unused id is all zero, which denies. */
struct vne_environment {
	struct vne_own own;
	/** Entries (VNE_ENTRY_RULES or what leads to one) for new flows from and to remotes, by family. */
	__u32 remote_in4;
	__u32 remote_in6;
	__u32 remote_out4;
	__u32 remote_out6;
	/** The record's own id ^ VNE_ENVIRONMENT_SELF: tells a record from any other word of the image. */
	__u32 self;
	__u32 reserved[31];
	char name[VNE_NAME_MAX + 1];
};
/** First page of the environment records in every image: the packet path finds them without reading the header. */
#define VNE_ENVIRONMENT_PAGE 1u
/** No entry has this kind, so no address table can be taken for a record. */
#define VNE_ENVIRONMENT_SELF 0xf56e4e45u
#define VNE_ENVIRONMENTS_PER_PAGE (VNE_PAGE_SIZE / 256)
/** From this bit of `flags` on: the protections without which no application is attached, a bit each. The agent's. */
#define VNE_ENVIRONMENT_REQUIRES 16u
/** The record is in use. */
#define VNE_ENVIRONMENT_VALID 0x1u
#define VNE_ENVIRONMENT_ONE_PREFIX4 0x2u
#define VNE_ENVIRONMENT_HOST 0x4u
#define VNE_ENVIRONMENT_LINK_LOCAL 0x8u
/** Reachability denials are recorded and let through. */
#define VNE_ENVIRONMENT_AUDIT 0x10u
/** Egress is judged too. */
#define VNE_ENVIRONMENT_STRICT 0x20u
#define VNE_ENVIRONMENT_ONE_PREFIX6 0x40u
/** Datagrams to and from multicast groups and broadcast addresses are judged; without it they are denied. */
#define VNE_ENVIRONMENT_MULTICAST 0x100u
/** Its applications reach no abstract Unix sockets but their own. */
#define VNE_ENVIRONMENT_UNIX_PRIVATE 0x200u
/** Its applications' socket options are judged. The agent's: the hook refuses wherever it is attached. */
#define VNE_ENVIRONMENT_OPTIONS 0x400u

#define VNE_PROTOCOL_TCP 0x1u
#define VNE_PROTOCOL_UDP 0x2u
#define VNE_PROTOCOL_PING 0x4u

/** A permit: new flows from an environment to another one, or to one address of it. A slot with from 0 is free. */
struct vne_permit {
	/** VNE_PERMIT_TO_…, with the id of the environment that may talk. */
	__u32 from;
	/** Index of the first rule of the list that new flows must match. */
	__u32 rules;
	/** The address, or the other environment's id in `low`. */
	struct vne_address to;
	__u64 reserved;
};
#define VNE_PERMITS_PER_PAGE (VNE_PAGE_SIZE / 32)
/** `to` of a permit is an environment's id, or an address. */
#define VNE_PERMIT_TO_ENVIRONMENT 0x10000000u
#define VNE_PERMIT_TO_ADDRESS 0x20000000u
/** No permit lies further than this from its hash slot; the compiler takes a larger table otherwise. */
#define VNE_PERMIT_PROBES 8

/** The slot where the search for a permit starts, before `& permit_mask`. */
static inline __u32 vne_permit_hash(__u32 from, struct vne_address to)
{
	__u64 h = (from * 0x9e3779b97f4a7c15ull ^ to.low) * 0xff51afd7ed558ccdull;

	h = (h ^ h >> 32 ^ to.high) * 0xc4ceb9fe1a85ec53ull;
	return h >> 32;
}

/* ------------------------------------------------------------------ attachments */

/** An attachment judges; anything else in `state` denies. */
#define VNE_ATTACHMENT_OPEN 1u

/** The flow table: sets of ways, indexed by a hash of the key. */
#define VNE_FLOW_SETS 128
#define VNE_FLOW_WAYS 4
/** Flow stamps are the coarse monotonic clock in nanoseconds, shifted right by this: about a millisecond. */
#define VNE_FLOW_CLOCK_SHIFT 20
/** A flow that was not refreshed for this long (same unit, about two minutes) is over. */
#define VNE_FLOW_TIMEOUT 114440u
/** The lowest bit of a stamp tells who began: 0 the application, 1 the peer. */
#define VNE_FLOW_INCOMING 1u

/** At most this many denials a second and application enter the ring buffer. */
#define VNE_EVENTS_PER_SECOND 64u

/** What is an application's own. */
struct vne_identity {
	/** SO_NETNS_COOKIE of the instance's network namespace. */
	__u64 netns;
	/** The IPv4 application address; 0 if it has none. */
	__u32 address4;
	/** The first address of the /24 in 127.0.0.0/8 that is the application's own; see VNE_LOOPBACK_…. */
	__u32 loopback4;
	/** The IPv6 application address; all zero if it has none. */
	struct vne_address address6;
	/** What `::1` is to the application: an address of its own on the instance's interface. */
	struct vne_address loopback6;
};

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
	struct vne_identity identity;
	/** The cgroup's id. */
	__u64 cgroup;
	/** Depth of the cgroup below the root of the hierarchy, for bpf_sk_ancestor_cgroup_id(). */
	__u32 level;
	/** Denials recorded in the current second, for the rate limit. */
	__u32 event_second;
	__u32 event_count;
	/** Nonzero where IPv6 packets for a wildcard of both families are steered to it (bpf/steer.bpf.c). */
	__u32 steered;
	/** Remote addresses, remote port << 16 | local port (ping: identifier as local port), stamps. Remote all zero:
	 * free. */
	struct vne_address flow_remotes[VNE_FLOW_SETS][VNE_FLOW_WAYS];
	__u32 flow_ports[VNE_FLOW_SETS][VNE_FLOW_WAYS];
	__u32 flow_stamps[VNE_FLOW_SETS][VNE_FLOW_WAYS];
};

/**
 * The private loopback: 127.0.b.n (b 0 or 1, n 1 to 126: with b 1 Debian's own host name) is the application's
 * `loopback4 + 128 * b + n`; no other address in 127.0.0.0/8 is there. Blocks are the /24s from VNE_LOOPBACK_FIRST on;
 * 127.0.0.0/16 and the last /16 are nobody's. `::1` is an address whose upper 32 bits are VNE_LOOPBACK6_PREFIX.
 */
#define VNE_LOOPBACK6_PREFIX 0xfd564e45u
#define VNE_LOOPBACK_FIRST 0x7f010000u
#define VNE_LOOPBACK_LAST 0x7ffeff00u

/**
 * What the programs on one CPU remember of an application and its environment, for one epoch: see bpf/known.bpf.h. In
 * network byte order, as packets and calls have it.
 */
struct vne_known {
	/** The epoch (struct vne_instance) that it holds in; 0: in none. */
	__u32 epoch;
	/** enum vne_protocol bits that sockets may have. */
	__u32 protocols;
	/** A bit for each kind of packet that is let in if it comes from inside on this host; enum vne_packet_kind. */
	__u32 kinds;
	/** The application address, and the environment's only prefix: (address & mask4) == network4. Else mask4 is 0
	 * and network4 is not, which holds for no address. */
	__be32 address4_be;
	__be32 network4_be;
	__be32 mask4_be;
	/** Of the application. */
	__u64 netns;
	/** The same of IPv6, as it lies in memory. */
	__be64 address6_be[2];
	__be64 network6_be[2];
	__be64 mask6_be[2];
};

/**
 * What the programs on one CPU remember and count: value of the per-CPU cgroup storage map `counters` (key: cgroup id,
 * __u64). Nobody else writes it while the application is attached.
 */
struct vne_counters {
	struct vne_known known;
	/** Verdicts by hook and reason. */
	__u64 verdicts[VNE_HOOKS][VNE_REASONS];
	/** Denials that audit mode let through, by hook. */
	__u64 audited[VNE_HOOKS];
};

/**
 * What the hooks of an application saw a moment ago: value of the array map `handshake`, found by a hash of the ends. A
 * SYN-ACK over loopback is believed if the application that it comes from let the SYN in, a datagram to a group if the
 * application sent it.
 */
struct vne_handshake {
	struct vne_address client;
	/** Or the group. */
	struct vne_address server;
	/** Client's port << 16 | server's port. */
	__u32 ports;
	/** In jiffies: reading them is no call. */
	__u32 time;
};
/** So few that they stay in a CPU's cache; an answer that finds another's place is judged by its sender's socket. */
#define VNE_HANDSHAKE_BITS 9
#define VNE_HANDSHAKES (1 << VNE_HANDSHAKE_BITS)
/** How long a SYN vouches for its SYN-ACK, and a call for its datagram, in jiffies: 64 ms, where there are 1,000 a
 * second, to 640 ms. */
#define VNE_HANDSHAKE_TIMEOUT 64u

/** Who owns an application address on this host: value of the hash map `owner` (key: struct vne_address). */
struct vne_owner {
	__u64 cgroup;
	__u32 level;
	__u32 environment;
	/** The application's IPv4 address, where its wildcards of both families are bound; 0 if it has none. */
	__u32 address4;
	__u32 reserved;
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
/** The attachment added the IPv4 address to the interface, and takes it away. */
#define VNE_APPLICATION_OWNS_ADDRESS4 0x8u
/** The same of the IPv6 address. */
#define VNE_APPLICATION_OWNS_ADDRESS6 0x10u
/** Launched with capabilities taken away and system calls filtered. */
#define VNE_APPLICATION_CONFINED 0x20u

/** What is remembered of an attached application: value of the hash map `application` (key: cgroup id, __u64). */
struct vne_application {
	__u32 state;
	__u32 flags;
	/** As in struct vne_attachment; 0 and all zero where it has none of the family. */
	__u32 address4;
	__u32 environment;
	struct vne_address address6;
	struct vne_address loopback6;
	__u32 loopback4;
	__u32 level;
	__u32 reserved;
	/** Process id of the launching `exec`, and its start time in clock ticks since boot. */
	__u32 launcher;
	__u64 launcher_start;
	char name[VNE_NAME_MAX + 1];
	char environment_name[VNE_NAME_MAX + 1];
	char hostname[VNE_HOSTNAME_MAX + 3];
	/** Relative to the cgroup2 mount, without a leading slash. */
	char cgroup_path[VNE_CGROUP_PATH_MAX + 1];
};

/* ------------------------------------------------------------------ guarded cgroups */

/**
 * What is remembered of a guarded cgroup: value of the hash map `guarded` (key: cgroup id, __u64). No program reads it.
 * `state` is one of VNE_APPLICATION_ATTACHING, …_ATTACHED and …_DETACHING.
 */
struct vne_guarded {
	__u32 state;
	__u32 reserved;
	/** Relative to the cgroup2 mount, without a leading slash; `/` for the root cgroup. */
	char cgroup_path[VNE_CGROUP_PATH_MAX + 1];
};

/** What the guard of a cgroup refused: value of the cgroup storage map `guard_count` (key: cgroup id, __u64). */
struct vne_guard_count {
	/** Indexed by enum vne_hook. */
	__u64 denied[VNE_HOOKS];
	/** The second of the monotonic clock to which `event_count` belongs. */
	__u32 event_second;
	/** Denials put into the ring buffer in that second. */
	__u32 event_count;
};

/* ------------------------------------------------------------------ the instance */

/** What the instance is: the only value of the array map `instance`. */
struct vne_instance {
	__u32 abi_version;
	/** Nonzero once loading went through. */
	__u32 ready;
	/** SO_NETNS_COOKIE of the namespace that the instance serves. */
	__u64 netns;
	/** What programs remember of an application holds in one epoch; 0 between two: see bpf/known.bpf.h. */
	__u32 epoch;
	/** The number of the last epoch that was begun. */
	__u32 last_epoch;
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
	/** The peer; all zero if there is none. */
	struct vne_address remote;
	/** The application address of the same family; all zero if it has none. */
	struct vne_address local;
	__u16 remote_port;
	__u16 local_port;
	/** The calling process; 0 in the packet hooks, which run in no process's context. */
	__u32 process;
	char command[16];
};

#pragma clang diagnostic pop
#endif
