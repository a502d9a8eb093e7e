import Glibc
import PolicyModel
import TestSupport
import Testing

@testable import VNEBPF

/// An instance and cgroups of a test's own, which go with it.
final class KernelWorld {
    /// What this suite's instances and cgroups are called; then comes the process that made them.
    static let namePrefix = "vne-test-bpf-"
    let name: String
    let cookie: UInt64
    let mount: String
    private var cgroups: [OpenCgroup] = []

    init() throws {
        Self.sweep()
        // Tests of a suite run one after the other, but not always on the same thread.
        name = "\(Self.namePrefix)\(getpid())-\(UInt32.random(in: 0...9999))"
        mount = try #require(CgroupMount.path)
        cookie = try Self.networkNamespaceCookie()
    }

    deinit {
        for cgroup in cgroups {
            close(cgroup.descriptor)
            Self.kill(in: "\(mount)/\(cgroup.path)")
            removeCgroup(cgroup)
        }
        _ = try? Instance.unload(name)
        try? BPFFileSystem.sweep("\(PinDirectory.root)/\(name):new")
    }

    /// Whether these tests can run at all.
    static var isPossible: Bool { geteuid() == 0 && CgroupMount.path != nil }

    private static func networkNamespaceCookie() throws -> UInt64 {
        let socket = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(socket) }
        var cookie: UInt64 = 0
        var length = socklen_t(MemoryLayout<UInt64>.size)
        // SO_NETNS_COOKIE, since kernel 5.14.
        try #require(unsafe getsockopt(socket, SOL_SOCKET, 71, &cookie, &length) == 0)
        return cookie
    }

    /// Removes what test processes left that are no more.
    private static func sweep() {
        for (entry, _) in (try? BPFFileSystem.entries(of: PinDirectory.root)) ?? []
        where CgroupMount.isLeft(entry, prefix: namePrefix) {
            try? BPFFileSystem.sweep("\(PinDirectory.root)/\(entry)")
        }
        for (entry, _) in (try? BPFFileSystem.entries(of: CgroupMount.path ?? "")) ?? []
        where CgroupMount.isLeft(entry, prefix: namePrefix) {
            CgroupMount.remove(entry)
        }
    }

    // MARK: - Cgroups

    /// Ends what a test started in a cgroup and did not wait for.
    private static func kill(in path: String) {
        let file = unsafe Glibc.open("\(path)/cgroup.kill", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        _ = unsafe write(file, "1", 1)
        close(file)
    }

    func makeCgroup() throws -> OpenCgroup {
        let path = "\(name)-\(cgroups.count)"
        try #require(unsafe mkdir("\(mount)/\(path)", 0o755) == 0)
        let descriptor = unsafe Glibc.open("\(mount)/\(path)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        try #require(descriptor >= 0)
        var information = stat()
        try #require(unsafe fstat(descriptor, &information) == 0)
        let cgroup = OpenCgroup(path: path, id: UInt64(information.st_ino), level: 1, descriptor: descriptor)
        cgroups.append(cgroup)
        return cgroup
    }

    func removeCgroup(_ cgroup: OpenCgroup) {
        CgroupMount.remove(cgroup.path)
    }

    /// Runs a Python program in a cgroup and gives its output, without the line's end.
    func run(in cgroup: OpenCgroup, _ program: String) throws -> String {
        try start(in: cgroup, program).finish()
    }

    /// Starts a Python program in a cgroup; `finish` of its result waits for it.
    func start(in cgroup: OpenCgroup, _ program: String) throws -> Running {
        guard let output = unsafe popen(Self.command(in: "\(mount)/\(cgroup.path)", program), "re") else {
            throw BPFError.failed(.inspect(path: "a shell"), code: errno)
        }
        return unsafe Running(output)
    }

    @safe final class Running {
        private let output: UnsafeMutablePointer<FILE>
        init(_ output: UnsafeMutablePointer<FILE>) { unsafe self.output = unsafe output }
        func finish() -> String { unsafe KernelWorld.finish(output) }
    }

    private static func command(in path: String, _ program: String) -> String {
        "echo 0 > \(path)/cgroup.procs && exec python3 -c '\(program)' 2>&1"
    }

    private static func finish(_ output: UnsafeMutablePointer<FILE>) -> String {
        var text = ""
        var line = [CChar](repeating: 0, count: 4096)
        while unsafe fgets(&line, Int32(line.count), output) != nil {
            text += String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        unsafe pclose(output)
        return String(text.reversed().drop { $0 == "\n" }.reversed())
    }

    // MARK: - The instance

    func open(create: Bool = true) throws -> Instance {
        try #require(try Instance.open(name, netns: cookie, create: create))
    }

    /// The hooks of an application on this kernel.
    func hooks(egress: Bool, unix: Bool = false, options: Bool = false) -> [CgroupHook] {
        CgroupHook.allCases.filter {
            Self.usable.contains($0) && (egress || $0 != .egress) && (unix || !$0.judgesUnix)
                && (options || $0 != .option)
        }
    }

    private static let usable = (try? KernelHooks().usable) ?? []

    /// Two environments with a permit on TCP 80 from the first to the second.
    static let policy = Policy(
        addressSpace: [prefix("10.213.0.0/16"), prefix("fd00:213::/32")],
        environments: [
            Environment(
                name: "shop", addresses: [prefix("10.213.2.0/24"), prefix("fd00:213:2::/48")],
                permits: [Permit(to: "payments", ports: [PortRule(.tcp, 80...80)])]),
            Environment(name: "payments", addresses: [prefix("10.213.3.0/24")], protocols: [.tcp, .udp, .ping]),
        ], source: "test.yaml")

    func publish(_ policy: Policy = KernelWorld.policy, by instance: Instance, revoking: Bool = false) throws {
        try instance.publish(policy, text: "# the text", on: HostView(), revoking: revoking)
    }

    func application(
        _ name: String = "web.shop", in cgroup: OpenCgroup, environment: String = "shop", id: UInt32 = 0,
        address: String = "10.213.2.1", egress: Bool = false
    ) -> AttachedApplication {
        AttachedApplication(
            name: name, environment: environment, environmentID: id, addresses: addresses(address),
            loopback: Self.loopback, hostname: "web.example", cgroupPath: cgroup.path, cgroupID: cgroup.id,
            cgroupLevel: cgroup.level,
            egress: egress)
    }

    static let loopback = PrivateLoopback(ipv4: address("127.213.2.0"), ipv6: address("fd56:4e45:213::2"))

    /// Attaches and opens.
    func attach(_ application: AttachedApplication, _ cgroup: OpenCgroup, by instance: Instance) throws {
        try instance.attach(application, cgroup: cgroup.descriptor)
        try instance.open(application)
    }

    /// An attached and open application under the usual policy.
    func makeApplication() throws -> (OpenCgroup, Instance, AttachedApplication) {
        let (cgroup, instance) = (try makeCgroup(), try open())
        try publish(by: instance)
        let application = application(in: cgroup)
        try attach(application, cgroup, by: instance)
        return (cgroup, instance, application)
    }

    // MARK: - What programs try

    /// Says how a TCP connect to an address that another environment has ends.
    static let connect = """
        import socket
        try:
            s = socket.socket()
            s.settimeout(1)
            s.connect(("10.213.3.9", 81))
            print("connected")
        except OSError as e:
            print(e.errno)
        """

    /// Says whether a TCP socket can be made.
    static let create = """
        import socket
        try:
            socket.socket()
            print("made")
        except OSError as e:
            print(e.errno)
        """
}

/// Everything in this suite changes the kernel's state, and parts of it wait for each other's locks.
@Suite(.serialized, .enabled(if: KernelWorld.isPossible, "needs root and cgroup2"))
struct KernelSuite {}
