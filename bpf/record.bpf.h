/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a reason to an effect: counts it, records denials in the ring buffer at a bounded rate, and lifts what audit
 * mode lifts. A flood of denials costs a comparison each, whether or not anyone reads the buffer.
 */
#ifndef VNE_RECORD_BPF_H
#define VNE_RECORD_BPF_H

#include "decision.bpf.h"

/* A calling process exists only in the hooks of system calls. */
#define VNE_NO_CALLER 0
#define VNE_CALLER 1

/* The clock of records, where a kind of program may not ask for the coarse one. */
#ifndef VNE_CLOCK
#define VNE_CLOCK bpf_ktime_get_coarse_ns
#endif

static __always_inline void vne_record_denial(struct vne_attachment *application, __u32 hook, __u32 reason, int audited,
					      const struct vne_attempt *attempt, int caller)
{
	__u64 now = VNE_CLOCK();
	__u32 second = now / 1000000000ull;
	struct vne_event *event;

	if (application->event_second != second) {
		application->event_second = second;
		application->event_count = 0;
	}
	if (application->event_count >= VNE_EVENTS_PER_SECOND)
		return;
	application->event_count++;
	event = bpf_ringbuf_reserve(&denials, sizeof(*event), 0);
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->time = now;
	event->cgroup = application->cgroup;
	event->hook = hook;
	event->reason = reason;
	event->audited = audited;
	event->protocol = attempt->protocol;
	event->remote = attempt->remote;
	event->remote_port = attempt->remote_port;
	event->local = vne_own_address(&application->identity, attempt->remote);
	event->local_port = attempt->local_port;
	if (caller) {
		event->process = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(event->command, sizeof(event->command));
	}
	bpf_ringbuf_submit(event, 0);
}

static __always_inline void vne_count(struct vne_counters *here, __u32 hook, __u32 reason)
{
	__u64 slot = reason;

	/* One register, checked and used: kernel 6.1 forgets for the original what a check of a 32-bit copy showed. */
	asm volatile("" : "+r"(slot));
	if (hook < VNE_HOOKS && slot < VNE_REASONS)
		here->verdicts[hook][slot]++;
}

/* Whether the call or packet goes through. */
static __always_inline int vne_conclude(const struct vne_judge *judge, __u32 hook, __u32 reason,
					const struct vne_attempt *attempt, int caller)
{
	struct vne_counters *here = vne_here();
	int audited;

	vne_count(here, hook, reason);
	if (reason < VNE_REASON_FIRST_DENIAL)
		return 1;
	audited = reason >= VNE_REASON_FIRST_REACHABILITY && judge->environment &&
		  judge->environment->own.flags & VNE_ENVIRONMENT_AUDIT;
	if (audited && hook < VNE_HOOKS)
		here->audited[hook]++;
	vne_record_denial(judge->application, hook, reason, audited, attempt, caller);
	return audited;
}

#endif
