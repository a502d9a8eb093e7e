import OverlayModel
import VNEManager

extension NodeStatus {
    /// For a person.
    var text: String {
        var lines = ["\(role) \(node) of \(network), \(address): \(state)"]
        for tunnel in tunnels {
            var line = "tunnel to \(tunnel.node) over \(tunnel.underlay)"
            line += tunnel.endpoint.map { ", at \($0)" } ?? ", never heard"
            line += ", \(tunnel.received) bytes in, \(tunnel.sent) out"
            if let routing = tunnel.routing { line += ": \(routing)" }
            if let link = tunnel.link { line += ", \(link)" }
            if let roundTrip = tunnel.roundTrip { line += ", \((roundTrip * 10).rounded() / 10) ms" }
            lines.append(line)
        }
        for route in routes {
            lines.append("way to \(route.destination) through \(route.through.joined(separator: ", "))")
        }
        for application in applications { lines.append("application \(application) is here") }
        for claim in claims { lines.append("\(claim.address) is claimed by \(claim.host)") }
        for refusal in refused { lines.append("\(refusal.address) is not this host's: \(refusal.reason)") }
        for alarm in usedTwice {
            lines.append(
                "the key of \(alarm.node) is used from \(alarm.places.joined(separator: " and ")): somebody else may have it "
                    + "(vne-manager revoke \(alarm.node))")
        }
        return lines.joined(separator: "\n")
    }

    private var state: String {
        guard up else { return "down" }
        var words = ["tunnels by \(tunnelEngine)"]
        words.append(routingRuns ? "BIRD runs" : "BIRD does not run")
        if !probingRuns { words.append("links are not probed") }
        if let storeRuns { words.append(storeRuns ? "etcd runs" : "etcd does not run") }
        if draining { words.append("draining") }
        return words.joined(separator: ", ")
    }
}
