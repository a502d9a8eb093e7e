/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Look-ups in a policy image. The pages of an image are reached by an array look-up each; nothing here is a hash map
 * or a trie. Whatever can't be read answers as if nothing were allowed.
 */
#ifndef VNE_IMAGE_BPF_H
#define VNE_IMAGE_BPF_H

#include "address.bpf.h"
#include "maps.bpf.h"

/* An image. Its header is read only where a decision needs more than the own environment. */
struct vne_image {
	void *pages;
	const struct vne_image_header *header;
};

static __always_inline const void *vne_image_page(const struct vne_image *image, __u32 number)
{
	return bpf_map_lookup_elem(image->pages, &number);
}

/* The published image; 0 where there is none. */
static __always_inline int vne_image_current(struct vne_image *image)
{
	__u32 zero = 0;

	image->header = NULL;
	image->pages = bpf_map_lookup_elem(&policy, &zero);
	return !!image->pages;
}

/* Reads the header; 0 where there is none. */
static __always_inline int vne_image_open(struct vne_image *image)
{
	image->header = vne_image_page(image, 0);
	return !!image->header;
}

static __always_inline __u32 vne_entry_kind(__u32 entry)
{
	return entry >> VNE_ENTRY_SHIFT;
}

static __always_inline __u32 vne_entry_index(__u32 entry)
{
	return entry & VNE_ENTRY_INDEX_MASK;
}

/* What an image without the page answers: a kind that no rule allows. */
#define VNE_ENTRY_UNREADABLE (VNE_ENTRY_TABLE << VNE_ENTRY_SHIFT)

/* One step down an address table: the entry itself, or what its page holds at `byte`. */
static __always_inline __u32 vne_entry_step(const struct vne_image *image, __u32 entry, __u32 byte)
{
	const struct vne_page *page;

	if (vne_entry_kind(entry) != VNE_ENTRY_TABLE)
		return entry;
	page = vne_image_page(image, entry & VNE_TABLE_PAGE_MASK);
	return page ? page->words[byte & 0xff] : VNE_ENTRY_UNREADABLE;
}

/* The byte at a position of an address; 0 is the most significant one. */
static __always_inline __u32 vne_address_byte(const struct vne_address *address, __u32 position)
{
	return (position < 8 ? address->high : address->low) >> (56 - (position & 7) * 8) & 0xff;
}

/* Where a comparison leads. */
static __always_inline __u32 vne_entry_compare(const struct vne_image *image, __u32 number,
					       const struct vne_address *address)
{
	const struct vne_compare *compare =
		vne_image_page(image, image->header->compare_page + number / VNE_COMPARES_PER_PAGE);

	if (!compare)
		return VNE_ENTRY_UNREADABLE;
	compare += number % VNE_COMPARES_PER_PAGE;
	return (address->high & compare->mask.high) == compare->network.high &&
			       (address->low & compare->mask.low) == compare->network.low
		       ? compare->matched
		       : compare->otherwise;
}

/* What an IPv6 tree says of an address. */
static __noinline __u32 vne_image_walk6(const struct vne_image *image, __u32 entry, const struct vne_address *address)
{
	for (int i = 0; i < VNE_STEPS_MAX; i++) {
		if (vne_entry_kind(entry) == VNE_ENTRY_COMPARE)
			entry = vne_entry_compare(image, vne_entry_index(entry), address);
		else if (vne_entry_kind(entry) == VNE_ENTRY_TABLE)
			entry = vne_entry_step(
				image, entry,
				vne_address_byte(address, vne_entry_index(entry) >> VNE_TABLE_BYTE_SHIFT));
		else
			return entry;
	}
	return VNE_ENTRY_UNREADABLE;
}

static __always_inline __u32 vne_image_owner4(const struct vne_image *image, __u32 address)
{
	__u32 entry = VNE_ENTRY_TABLE << VNE_ENTRY_SHIFT | (image->header->owner_page + (address >> 24));

	entry = vne_entry_step(image, entry, address >> 16);
	entry = vne_entry_step(image, entry, address >> 8);
	return vne_entry_step(image, entry, address);
}

/* Whose an address is: one of enum vne_entry_kind with an environment's id where there is one. */
static __always_inline __u32 vne_image_owner(const struct vne_image *image, const struct vne_address *address)
{
	return vne_is_ipv4(*address) ? vne_image_owner4(image, address->low)
				     : vne_image_walk6(image, image->header->owner6, address);
}

/* The record of an environment, found without the header. An id that is not in use, or not in the table, has none. */
static __always_inline const struct vne_environment *vne_image_environment(const struct vne_image *image, __u32 id)
{
	const struct vne_environment *record =
		vne_image_page(image, VNE_ENVIRONMENT_PAGE + id / VNE_ENVIRONMENTS_PER_PAGE);

	if (!record)
		return NULL;
	record += id % VNE_ENVIRONMENTS_PER_PAGE;
	return record->own.flags & VNE_ENVIRONMENT_VALID && record->self == (id ^ VNE_ENVIRONMENT_SELF) ? record : NULL;
}

/* A walk along a list of rules. */
struct vne_rule_walk {
	const struct vne_image *image;
	__u32 index;
	__u32 protocol;
	__u32 port;
	int allows;
};

/* One rule; nonzero ends the walk. */
static long vne_rule_step(__u32 step, struct vne_rule_walk *walk)
{
	__u32 index = walk->index + step, match, ports;
	const struct vne_rule *rules =
		vne_image_page(walk->image, walk->image->header->rule_page + index / VNE_RULES_PER_PAGE);

	if (!rules)
		return 1;
	match = rules[index % VNE_RULES_PER_PAGE].match;
	ports = rules[index % VNE_RULES_PER_PAGE].ports;
	if ((!(match & 0xff) || (match & 0xff) == walk->protocol) && walk->port >= (ports & 0xffff) &&
	    walk->port <= ports >> 16) {
		walk->allows = !!(match & VNE_RULE_ALLOW);
		return 1;
	}
	return !!(match & VNE_RULE_LAST);
}

/*
 * Whether the list that starts at rule `index` allows a flow of `protocol` to `port`: its first match decides. The two
 * lists that every image has are known without a look; bpf_loop (kernel 5.17) has the verifier walk one rule, not all.
 */
static __noinline int vne_image_rules_allow(const struct vne_image *image, __u32 index, __u32 protocol, __u32 port)
{
	struct vne_rule_walk walk = { .image = image, .index = index, .protocol = protocol, .port = port };

	if (index == VNE_RULES_DENY_ALL)
		return 0;
	if (index == VNE_RULES_ALLOW_ALL)
		return 1;
	bpf_loop(VNE_RULES_MAX, vne_rule_step, &walk, 0);
	return walk.allows;
}

/* The rules of the permit from `from` (VNE_PERMIT_TO_… | id) to `to`; without one, the list that denies everything. */
static __noinline __u32 vne_image_permit_rules(const struct vne_image *image, __u32 from, const struct vne_address *to)
{
	__u32 slot = vne_permit_hash(from, *to);

	for (int i = 0; i < VNE_PERMIT_PROBES; i++, slot++) {
		__u32 at = slot & image->header->permit_mask;
		const struct vne_permit *permits =
			vne_image_page(image, image->header->permit_page + at / VNE_PERMITS_PER_PAGE);

		if (!permits)
			break;
		permits += at % VNE_PERMITS_PER_PAGE;
		if (permits->from == from && vne_is_same(permits->to, *to))
			return permits->rules;
		if (!permits->from)
			break;
	}
	return VNE_RULES_DENY_ALL;
}

/* Whether a permit covers a flow of `protocol` to `port`. The verifier walks the rules once, not once a probe. */
static __always_inline int vne_image_permits(const struct vne_image *image, __u32 from, const struct vne_address *to,
					     __u32 protocol, __u32 port)
{
	return vne_image_rules_allow(image, vne_image_permit_rules(image, from, to), protocol, port);
}

/* A permit to the whole environment, or to the one address of it. */
static __always_inline int vne_image_permits_flow(const struct vne_image *image, __u32 from, __u32 to,
						  const struct vne_address *address, __u32 protocol, __u32 port)
{
	struct vne_address environment = { .low = to };

	return vne_image_permits(image, VNE_PERMIT_TO_ENVIRONMENT | from, &environment, protocol, port) ||
	       vne_image_permits(image, VNE_PERMIT_TO_ADDRESS | from, address, protocol, port);
}

/* Whether a remote table (remote_in…, remote_out…, of the address's family) allows new flows with a peer. */
static __always_inline int vne_image_remote_allows(const struct vne_image *image, __u32 entry,
						   const struct vne_address *address, __u32 protocol, __u32 port)
{
	if (vne_is_ipv4(*address)) {
		__u32 ipv4 = address->low;

		entry = vne_entry_step(image, entry, ipv4 >> 24);
		entry = vne_entry_step(image, entry, ipv4 >> 16);
		entry = vne_entry_step(image, entry, ipv4 >> 8);
		entry = vne_entry_step(image, entry, ipv4);
	} else {
		entry = vne_image_walk6(image, entry, address);
	}
	return vne_entry_kind(entry) == VNE_ENTRY_RULES &&
	       vne_image_rules_allow(image, vne_entry_index(entry), protocol, port);
}

/* Whether the address and port are a loopback service that every application may use. */
static __always_inline int vne_image_shares(const struct vne_image *image, const struct vne_address *address,
					    __u32 port)
{
	for (__u32 i = 0; i < VNE_SHARED_MAX; i++) {
		if (i >= image->header->shared_count)
			return 0;
		if (image->header->shared[i].port == port && vne_is_same(image->header->shared[i].address, *address))
			return 1;
	}
	return 0;
}

/* Whether a source in the address space is believed on an interface that is not this host's own. */
static __always_inline int vne_image_believes(const struct vne_image *image, __u32 interface)
{
	for (__u32 i = 0; i < VNE_INTERFACES_MAX; i++) {
		if (i >= image->header->interface_count)
			return 0;
		if (image->header->interfaces[i] == interface)
			return 1;
	}
	return 0;
}

#endif
