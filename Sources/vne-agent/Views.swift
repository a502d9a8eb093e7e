import PolicyModel
import VNEAgent

/// An attached application in JSON.
struct ApplicationView: Codable {
    var name: String
    var environment: String
    /// IPv4 first; one of each family at most.
    var addresses: [IPAddress]
    var hostname: String?
    var cgroup: String
    var egress: Bool
    var confined: Bool

    init(_ application: AttachedApplication) {
        name = application.name
        environment = application.environment
        addresses = application.addresses.all
        hostname = application.hostname
        cgroup = application.cgroupPath
        egress = application.egress
        confined = application.confined
    }
}

/// What `attach` did, in JSON.
struct AttachView: Codable {
    /// A socket that the isolator does not cover.
    struct Foreign: Codable {
        var process: UInt32
        var command: String
        var descriptor: Int32
        var socket: String

        init(_ foreign: ForeignSocket) {
            process = foreign.process
            command = foreign.command
            descriptor = foreign.descriptor
            socket = foreign.summary
        }
    }
    var application: ApplicationView
    var foreignSockets: [Foreign]
    var closedForeignSockets: [Foreign]
    var closedSockets: Int
    var repairs: [Repair]
    var warnings: [String]

    init(_ report: AttachReport) {
        application = ApplicationView(report.application)
        foreignSockets = report.foreignSockets.map(Foreign.init)
        closedForeignSockets = report.closedForeignSockets.map(Foreign.init)
        closedSockets = report.closedSockets
        repairs = report.repairs
        warnings = report.warnings
    }
}

/// What `detach` did, in JSON.
struct DetachView: Codable {
    var application: ApplicationView
    var repairs: [Repair]
    var warnings: [String]

    init(_ report: DetachReport) {
        application = ApplicationView(report.application)
        repairs = report.repairs
        warnings = report.warnings
    }
}

/// What `apply` planned and did, in JSON.
struct ApplyView: Codable {
    /// An application that could not be taken where the policy wants it.
    struct Failure: Codable {
        var application: String
        var message: String
        var status: ExitStatus
    }
    /// A line for each change, as without `--json`.
    var plan: [String]
    /// Whether the plan only tells, or is empty.
    var isEmpty: Bool
    var revokes: Bool
    var generation: UInt32?
    var attached: [AttachView]
    var cutFlows: [String]
    var failures: [Failure]
    var repairs: [Repair]
    var warnings: [String]

    init(_ report: ApplyReport) {
        plan = report.plan.changes.map(\.description)
        isEmpty = report.plan.isEmpty
        revokes = report.plan.revokes
        generation = report.generation
        attached = report.attached.map(AttachView.init)
        cutFlows = report.cutFlows
        failures = report.failures.map {
            Failure(application: $0.application, message: $0.error.message, status: $0.error.status)
        }
        repairs = report.repairs
        warnings = report.warnings
    }
}
