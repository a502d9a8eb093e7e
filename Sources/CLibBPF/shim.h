/* libbpf's public headers, and the UAPI header that its types come from. */
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
