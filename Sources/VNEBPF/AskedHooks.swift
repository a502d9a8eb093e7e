internal import PolicyModel

/// What an environment says of the hooks that only some applications have: the same in a policy as in a published image.
protocol HookAsking {
    /// Whether abstract Unix sockets of others are out of reach.
    var unixPrivate: Bool { get }
    /// Whether the hook of socket options is needed.
    var needsOptions: Bool { get }
}

extension Environment: HookAsking {}
extension PolicyImageReader.EnvironmentRecord: HookAsking {}

extension HookAsking {
    /// Whether the environment's applications are to have a hook. `egress` is none of its matters: an application's record
    /// says whether it has that.
    func asks(for hook: CgroupHook) -> Bool {
        if hook.judgesUnix { return unixPrivate }
        return hook == .option ? needsOptions : true
    }
}

extension CgroupHook {
    /// Whether an application has it only where its environment asks for it.
    var isAskedFor: Bool { judgesUnix || self == .option }
}
