import ArgumentParser
import VNEManager

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Look for what is wrong with this node, and say what to do about it.",
        discussion: """
            Programs, the node's credential, engines, each tunnel, the store, and addresses of applications. It changes nothing. \
            Ends with 1 if something is wrong. Examples:
              vne-manager doctor
              vne-manager doctor --all
            """)

    @Flag(help: "Also what is right.")
    var all = false

    @Flag(help: "Print JSON, whatever is right included: docs/schemas/doctor.json.")
    var json = false

    @OptionGroup var network: NetworkOptions

    func run() async throws {
        let examination = try await network.node.examine()
        if json {
            try Console.show(examination)
        } else {
            print(examination.text(all: all))
        }
        if !examination.isSound { throw ExitCode(1) }
    }
}

extension Examination {
    /// For a person.
    fileprivate func text(all: Bool) -> String {
        let shown = findings.filter { all || $0.grade != .right }
        var lines = shown.flatMap { finding in
            ["\(finding.grade.rawValue): \(finding.subject): \(finding.what)"]
                + (finding.remedy.map { ["  \($0)"] } ?? [])
        }
        let right = findings.filter { $0.grade == .right }.count
        if !all { lines.append("\(right) of \(findings.count) are right (--all shows them)") }
        return lines.joined(separator: "\n")
    }
}
