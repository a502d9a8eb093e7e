import ArgumentParser
import PolicyModel
import VNEAgent
import VNEHost

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Show how fast each application's hooks judge, and what is denied most, over and over.",
        discussion: """
            A row for each application, what is denied most first. CALLS are system calls, IN packets that came, OUT \
            packets that left where the environment has them judged; each as let through and as denied, a second. AUDITED \
            is what audit mode let through. q or Ctrl-C ends it. Where the output is no terminal, a table is printed at \
            each interval, and with --json a line. Examples:
              vne-agent top
              vne-agent top --once
              vne-agent top --batch 10 --interval 5s --json
            """)

    @Option(help: ArgumentHelp("How long rates are measured.", valueName: "time"))
    var interval = TimeLimit(seconds: 2)

    @Option(help: ArgumentHelp("Print so many tables below each other, and end.", valueName: "count"))
    var batch: Int?

    @Flag(help: "The same as --batch 1.")
    var once = false

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard batch.map({ $0 > 0 }) != false else { throw ValidationError("--batch needs a number from 1 on.") }
        guard !once || batch == nil else { throw ValidationError("--once is --batch 1: name one of them.") }
    }

    func run() throws {
        var left = once ? 1 : batch
        let events = try CommandEvents()
        var before = try read()
        // Not before it is known that there is something to show.
        let terminal = left == nil && !output.json && Terminal.isThere ? try Terminal() : nil
        var shown = Rates(from: before.reading, to: before.reading, seconds: 1)
        terminal.map { show(shown, on: $0) }
        while left != 0 {
            switch try events.wait(reading: terminal?.input, until: before.time + .seconds(interval.seconds)) {
            case .stop: return
            case .resized: terminal.map { show(shown, on: $0) }
            case .readable:
                guard let key = terminal?.key(), key != UInt8(ascii: "q"), key != UInt8(ascii: "Q") else { return }
            case .time:
                let now = try read()
                shown = Rates(from: before.reading, to: now.reading, seconds: (now.time - before.time).asSeconds)
                before = now
                left = left.map { $0 - 1 }
                if let terminal {
                    show(shown, on: terminal)
                } else {
                    try print(shown)
                }
            }
        }
    }

    private func read() throws -> (reading: CounterReading, time: Duration) {
        let session = try Session(instance, .show)
        guard session.loaded != nil else { throw Session.notLoaded(instance) }
        return (try session.agent.reading(), HostEvents.now)
    }

    private func show(_ rates: Rates, on terminal: Terminal) {
        let title =
            "vne-agent top: instance \(instance.instance), \(rates.applications.count) application(s), "
            + "every \(interval); q ends"
        terminal.show([title, ""] + rates.table.description.split(separator: "\n").map(String.init))
    }

    private func print(_ rates: Rates) throws {
        if output.json { try Console.show(jsonLine: rates) } else { Console.show("\(rates.table)\n") }
        Console.flush()
    }
}

extension Duration {
    fileprivate var asSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
