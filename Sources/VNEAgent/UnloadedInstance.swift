public import PolicyModel

/// The dataplane of an instance that was never loaded, or that was unloaded: no policy, no application, and nothing that
/// could be changed. What shows things works on it as on any other.
public struct UnloadedInstance: Dataplane {
    private let probe: () throws -> [Protection: String]

    /// The dataplane of an instance that is not there.
    /// - Parameter probe: says which protections hooks would not hold on this kernel, and why.
    public init(
        probe: @escaping () throws -> [Protection: String] = {
            throw AgentError(.unsupported, "nobody asked the kernel")
        }
    ) {
        self.probe = probe
    }

    /// What the kernel would not let hooks hold.
    public func unheldProtections(of application: AttachedApplication?) throws -> [Protection: String] { try probe() }

    /// Nothing is published.
    public func publishedPolicy() -> PublishedPolicy? { nil }
    /// There is no environment.
    public func environment(named name: String) -> PublishedEnvironment? { nil }
    /// Nothing is published that would say otherwise.
    public func publishedIdentity() -> PublishedIdentity { PublishedIdentity() }
    /// Nobody owns an address.
    public func owner(of address: IPAddress) -> PublishedOwner { .noPolicy }
    /// None is attached.
    public func applications() -> [AttachedApplication] { [] }
    /// None is attached.
    public func application(cgroupID: UInt64) -> AttachedApplication? { nil }
    /// Nobody holds an address.
    public func holder(of address: IPAddress) -> UInt64? { nil }
    /// Nothing was counted.
    public func counters(of application: AttachedApplication) -> VerdictCounters { VerdictCounters() }
    /// No flow was recorded.
    public func flows(of application: AttachedApplication) -> [RecordedFlow] { [] }

    /// Refused.
    public func publish(_ policy: Policy, text: String, on host: HostView, revoking: Bool) throws { throw Self.refusal }
    /// Refused.
    public func attach(_ application: AttachedApplication, cgroup: Int32) throws { throw Self.refusal }
    /// Refused.
    public func open(_ application: AttachedApplication) throws { throw Self.refusal }
    /// Refused.
    public func deny(_ application: AttachedApplication) throws { throw Self.refusal }
    /// Refused.
    public func detach(_ application: AttachedApplication) throws { throw Self.refusal }
    /// Refused.
    public func setEgress(_ egress: Bool, of application: AttachedApplication, cgroup: Int32) throws {
        throw Self.refusal
    }
    /// Refused.
    public func update(_ application: AttachedApplication) throws { throw Self.refusal }
    /// None is guarded.
    public func guardedCgroups() -> [GuardedCgroup] { [] }
    /// Refused.
    public func protect(_ cgroup: GuardedCgroup, descriptor: Int32) throws { throw Self.refusal }
    /// Refused.
    public func unprotect(_ cgroup: GuardedCgroup) throws { throw Self.refusal }
    /// Nothing was refused.
    public func refusals(of cgroup: GuardedCgroup) -> [Hook: UInt64] { [:] }

    private static var refusal: AgentError { .noPolicy }
}
