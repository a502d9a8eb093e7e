/* libbpf's public headers, the UAPI header that its types come from, and a system call that Swift's Glibc lacks. */
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/**
 * Opens the directory of a cgroup by its id: open_by_handle_at(2) with the handle that cgroup2 gives out (Linux 5.5).
 * `hierarchy` is a file descriptor of any directory of the cgroup2 mount. Needs CAP_DAC_READ_SEARCH. Returns a file
 * descriptor, or -1 with errno: ESTALE if there is no such cgroup any more.
 */
static inline int vne_open_cgroup(int hierarchy, __u64 id)
{
	/* struct file_handle, whose identifier is FILEID_KERNFS: the id alone. */
	struct {
		__u32 length;
		__s32 type;
		__u64 id;
	} handle = { sizeof(id), 0xfe, id };

	return (int)syscall(SYS_open_by_handle_at, hierarchy, &handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}
