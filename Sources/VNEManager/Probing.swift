internal import FoundationEssentials
internal import Glibc
internal import OverlayModel

/// The prober of a node (``LinkProber``), in the network's namespace: this program itself, as an engine.
struct Probing {
    let place: NetworkPlace

    static let planFile = "probes.json"
    static let reportFile = "links.json"
    private static let program = "vne-manager"

    private var number: String { "\(place.running)/probe.pid" }

    /// The process, if it runs.
    var process: EngineProcess? { EngineProcess(recordedIn: number, program: Self.program, of: place) }

    /// What it says of the links.
    var report: LinkReport { LinkReport("\(place.running)/\(Self.reportFile)") }

    /// Has a plan be followed, by this version of the program.
    func reconcile(_ plan: String) async throws(ManagerError) {
        // Where this version is, or a newer one that has taken its place.
        let own = try Self.executable("self").replacing(" (deleted)", with: "")
        let file = "\(place.running)/\(Self.planFile)"
        if try NodeFiles.text(file) != plan { try NodeFiles.write(plan, to: file) }
        if let process {
            // It reads the plan again by itself.
            if try Self.executable("\(process.id)") == own { return }
            try await EngineProcess.end([process])
        }
        try NodeFiles.remove("\(place.running)/\(Self.reportFile)")
        // The number is there before the program is.
        let start = "echo $$ > \"$1\" && log=$2 && shift 2 && exec \"$@\" > \"$log\" 2>&1 < /dev/null"
        let shell = ["sh", "-c", start, "sh", number, "\(place.running)/probe.log"]
        // What proves that a link is alive is sent on time, however busy the host is.
        let probe = ["nice", "-n", "-10", own, "probe", "--instance", place.instance, "--network", place.network]
        try await Program(EngineProcess.marked(place) + ["setsid", "--fork"] + shell + probe).inside(
            namespace: place.label
        ).run()
        // It says what it knows as soon as it can work.
        func works() -> Bool { NodeFiles.names(in: place.running).contains(Self.reportFile) }
        for _ in 0..<500 where !works() { try await Program.pause() }
        guard process != nil, works() else {
            let log = try NodeFiles.text("\(place.running)/probe.log") ?? ""
            throw ManagerError(.failed, "the prober ended at once: \(log.suffix(300))")
        }
    }

    /// The program that a process runs. One that was replaced since has a word behind its path.
    private static func executable(_ process: String) throws(ManagerError) -> String {
        do {
            return try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/exe")
        } catch {
            throw ManagerError(.failed, "cannot find the program of process \(process): \(error)")
        }
    }
}
