/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The judgements, as functions that the verifier checks once and for themselves: what a hook did before it asks does
 * not multiply with what they do. Each finds the application, reads one image from beginning to end, counts and
 * records.
 */
#ifndef VNE_JUDGE_BPF_H
#define VNE_JUDGE_BPF_H

#include "packet.bpf.h"

/* The answer: the reason, and whether the call or packet goes through. */
#define VNE_JUDGED_REASON 0xff
#define VNE_JUDGED_PASS 0x100

/*
 * An attempt to reach a peer by a call; `hook` is one of enum vne_hook. `refusal` is why it must not even be judged, or
 * VNE_REASON_PERMITTED_USE.
 */
int vne_judge_call(const struct vne_attempt *attempt, __u32 hook, __u32 refusal);

/* The same for a packet that leaves. It is a function of its own as kernel 6.1 lets no packet hook ask who calls. */
int vne_judge_leaving(const struct vne_attempt *attempt, const struct vne_address *source, __u32 refusal);

/* A packet for one of the application's sockets. */
int vne_judge_incoming(struct __sk_buff *skb, const struct vne_packet *packet, __u32 refusal);

#endif
