import Glibc
public import VNEAgent
public import VNEBPF
public import VNEHost

extension Instance: Dataplane {}

extension LinuxHost: Host {}

/// One command's hold on an instance: the lock, for as long as this value lives.
struct Session {
    /// What the command is going to do.
    enum Purpose {
        /// Read; others may read too.
        case show
        /// Change what is loaded.
        case change
        /// Change it, and load it if it is not there.
        case create
    }

    let host: LinuxHost
    /// Nil if the instance is not loaded.
    let loaded: Instance?
    let agent: Agent

    init(_ options: InstanceOptions, _ purpose: Purpose) throws {
        try Self.requireRoot()
        let cookie = try LinuxHost.networkNamespaceCookie()
        let name = options.instance
        let host = options.host
        let loaded =
            switch purpose {
            case .show: try Instance.read(name, netns: cookie)
            case .change: try Instance.open(name, netns: cookie, create: false)
            case .create: try Instance.open(name, netns: cookie, create: true)
            }
        self.host = host
        self.loaded = loaded
        self.agent = Agent(
            instance: name, dataplane: loaded ?? UnloadedInstance(probe: Instance.probeProtections), host: host)
    }

    static var isRoot: Bool { geteuid() == 0 }

    static func requireRoot() throws(AgentError) {
        guard !isRoot else { return }
        throw AgentError(
            .unsupported, "only root may look at or change what the kernel keeps apart", hint: "try: sudo vne-agent …")
    }
}
