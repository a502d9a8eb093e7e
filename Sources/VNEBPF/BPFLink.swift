internal import CLibBPF
internal import Glibc

/// A link between a program and a cgroup that is held open. Without a pin, the hook is detached when it is closed.
///
/// - Note: cgroup links exist since kernel 5.7.
public struct BPFLink: ~Copyable {
    let descriptor: Descriptor
    /// Where it is pinned.
    public let path: String

    /// Attaches a program to a cgroup and pins the link at once. The C functions are `bpf_link_create` and
    /// `bpf_obj_pin`.
    static func attaching(
        _ program: borrowing BPFProgram, at hook: CgroupHook, to cgroup: Int32, named cgroupPath: String,
        pinnedAt path: String
    ) throws(BPFError) -> BPFLink {
        let result = bpf_link_create(program.descriptor.rawValue, cgroup, hook.attachType, nil)
        guard result >= 0 else {
            throw .failed(.createLink(hook: hook.rawValue, cgroup: cgroupPath), code: -result)
        }
        let link = BPFLink(owning: result, path: path)
        let pinned = unsafe bpf_obj_pin(result, path)
        guard pinned == 0 else { throw .failed(.pin(path: path), code: -pinned) }
        return link
    }

    private init(owning descriptor: Int32, path: String) {
        self.descriptor = Descriptor(owning: descriptor)
        self.path = path
    }

    /// Opens a pinned link; nil if nothing is pinned there. The C function is `bpf_obj_get`.
    public static func pinned(at path: String) throws(BPFError) -> BPFLink? {
        let result = unsafe bpf_obj_get(path)
        guard -result != ENOENT else { return nil }
        guard result >= 0 else { throw .failed(.openPin(path: path), code: -result) }
        return BPFLink(owning: result, path: path)
    }

    /// Whether there is a link with this id. The C function is `bpf_link_get_fd_by_id`.
    public static func exists(id: UInt32) -> Bool {
        let result = bpf_link_get_fd_by_id(id)
        guard result >= 0 else { return false }
        _ = Descriptor(owning: result)
        return true
    }

    /// What the kernel says of a link. The C function is `bpf_obj_get_info_by_fd`.
    public struct Information: Hashable, Sendable {
        /// The link's id, as `bpftool link` shows it.
        public var id: UInt32
        /// The program behind it.
        public var programID: UInt32
        /// The cgroup's id; 0 once the link was detached or the cgroup is gone.
        public var cgroupID: UInt64
        /// `enum bpf_attach_type`.
        public var attachType: UInt32
    }

    /// What the kernel says of this link.
    public func information() throws(BPFError) -> Information {
        var information = bpf_link_info()
        var length = UInt32(MemoryLayout<bpf_link_info>.size)
        let result = unsafe bpf_obj_get_info_by_fd(descriptor.rawValue, &information, &length)
        guard result == 0 else { throw .failed(.inspect(path: path), code: -result) }
        guard information.type == BPF_LINK_TYPE_CGROUP.rawValue else {
            throw .failed(.inspect(path: path), code: EINVAL)
        }
        return Information(
            id: information.id, programID: information.prog_id, cgroupID: information.cgroup.cgroup_id,
            attachType: information.cgroup.attach_type)
    }

    /// Puts another program behind the hook in one step; says whether the link still was attached to a cgroup. The C
    /// function is `bpf_link_update`.
    func update(to program: borrowing BPFProgram) throws(BPFError) -> Bool {
        let result = bpf_link_update(descriptor.rawValue, program.descriptor.rawValue, nil)
        // What the kernel answers for a link whose cgroup is gone.
        guard -result != ENOLINK else { return false }
        guard result == 0 else { throw .failed(.updateLink(path: path), code: -result) }
        return true
    }

    /// Takes the program off the cgroup now, not when the kernel gets to the last reference, and removes the pin. The C
    /// functions are `bpf_link_detach` and `unlink`.
    consuming func detach() throws(BPFError) {
        let result = bpf_link_detach(descriptor.rawValue)
        guard result == 0 || -result == ENOLINK else { throw .failed(.detachLink(path: path), code: -result) }
        guard unsafe unlink(path) == 0 || errno == ENOENT else { throw .failed(.remove(path: path), code: errno) }
    }
}
