extension CgroupHook {
    /// The hooks of a guarded cgroup, in the order of attaching: sockets of other namespaces are known before packets are
    /// dropped.
    static let guardHooks: [CgroupHook] = [.create, .bind4, .bind6, .connect4, .connect6, .send4, .send6, .ingress]

    /// The name of the guard's program for this hook; a program's name has room for fifteen bytes.
    public var guardProgramName: String { Self.programPrefix + "g_" + rawValue }
}
