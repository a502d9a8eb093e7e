import PolicyModel

extension Hook {
    /// The hook of the kernel where calls about an address of a family, and packets, are judged, as libbpf names it.
    func attachPoint(_ family: AddressFamily) -> String {
        let digit = family == .ipv4 ? "4" : "6"
        return switch self {
        case .create: "cgroup/sock_create"
        case .bind: "cgroup/bind" + digit
        case .connect: "cgroup/connect" + digit
        case .send: "cgroup/sendmsg" + digit
        case .ingress: "cgroup_skb/ingress"
        case .egress: "cgroup_skb/egress"
        case .system: "lsm_cgroup"
        }
    }
}
