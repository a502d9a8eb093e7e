internal import CLibBPF
internal import Glibc
internal import PolicyModel

/// Steering: IPv6 packets for a wildcard of both families are handed to it (`bpf/steer.bpf.c`). The program is attached
/// where packets enter the namespace, by a link an interface, which a pin holds.
///
/// - Note: needs kernel 6.6, for `BPF_TCX_INGRESS`. Without it such a socket is reachable on IPv4 and on loopback only.
extension Instance {
    /// `BPF_TCX_INGRESS` of `linux/bpf.h`, which older headers do not have.
    static let ingressOfAnInterface = bpf_attach_type(rawValue: 46)

    /// The program's name, in the object and as a pin.
    private static let steeringProgram = "vne_steer"

    /// Has the program on every interface of the namespace; says whether it is there.
    ///
    /// Whoever calls this twice changes nothing: the kernel refuses a program that an interface has already.
    func steer() throws(BPFError) -> Bool {
        // Interfaces are those of the caller's namespace.
        guard Self.callersNamespace == networkNamespace else { return false }
        let program = try BPFProgram(pinnedAt: directory.program(named: Self.steeringProgram))
        try BPFFileSystem.makeDirectory(directory.interfaces)
        for interface in Self.interfaces {
            let link = bpf_link_create(
                program.descriptor.rawValue, Int32(interface), Self.ingressOfAnInterface, nil)
            switch -link {
            case EEXIST, ENODEV: continue
            case EINVAL, ENOTSUP, EOPNOTSUPP:
                try unsteer()
                return false
            case 1...: throw .failed(.steer(interface: interface), code: -link)
            default: break
            }
            let held = Descriptor(owning: link)
            // The pin of an interface that is gone and whose number this one has.
            let path = "\(directory.interfaces)/\(interface)"
            try BPFFileSystem.removePin(path)
            let result = unsafe bpf_obj_pin(held.rawValue, path)
            guard result == 0 else { throw .failed(.pin(path: path), code: -result) }
        }
        return true
    }

    /// Has the program on interfaces that came since the last attachment, if it is on any.
    public func steerNewInterfaces() throws(BPFError) {
        try requireExclusive()
        if BPFFileSystem.exists(directory.interfaces) { _ = try steer() }
    }

    /// Has the program on every interface if an application has both families: for an instance whose pins were lost.
    public func steerIfUsed() throws(BPFError) {
        try requireExclusive()
        guard try applications().contains(where: { $0.addresses.families.count == 2 }) else { return }
        _ = try steer()
    }

    /// Takes the program off every interface. A link that nothing holds is detached by the kernel.
    func unsteer() throws(BPFError) {
        try BPFFileSystem.sweep(directory.interfaces)
    }

    /// Takes steering away once no application has both families.
    func unsteerIfUnused() throws(BPFError) {
        guard BPFFileSystem.exists(directory.interfaces) else { return }
        let hasBoth = try applications().contains { $0.addresses.families.count == 2 }
        if !hasBoth { try unsteer() }
    }

    /// The cookie of the calling thread's network namespace; 0 where the kernel does not say. The C function is
    /// `getsockopt` with `SO_NETNS_COOKIE`.
    private static var callersNamespace: UInt64 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return 0 }
        let held = Descriptor(owning: descriptor)
        var cookie: UInt64 = 0
        var size = socklen_t(MemoryLayout<UInt64>.size)
        guard unsafe getsockopt(held.rawValue, SOL_SOCKET, cookieOption, &cookie, &size) == 0 else { return 0 }
        return cookie
    }

    /// `SO_NETNS_COOKIE` of `asm-generic/socket.h`.
    private static let cookieOption: Int32 = 71

    /// Indexes of the interfaces of the namespace. The C function is `if_nameindex`.
    private static var interfaces: [UInt32] {
        guard let list = unsafe if_nameindex() else { return [] }
        defer { unsafe if_freenameindex(list) }
        var indexes: [UInt32] = []
        var entry = unsafe list
        while unsafe entry.pointee.if_index != 0 {
            unsafe indexes.append(entry.pointee.if_index)
            unsafe entry += 1
        }
        return indexes
    }
}
