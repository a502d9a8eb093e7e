internal import OverlayModel
public import PolicyModel

extension NetworkNode {
    /// Takes the claim of an address away from whichever host has it, at a manager, and says which host that was, and which one
    /// has it now: one that it was about to be handed over to; nil if none.
    ///
    /// Managers that cannot be reached believe it until they can: only where its host is known to be gone does nobody have the
    /// address twice.
    public func reclaim(_ address: IPAddress) async throws(ManagerError) -> (
        owner: String, heir: String?
    ) {
        guard kept.node.role == .manager else {
            throw ManagerError(.failed, "claims are taken away at a manager, and this node is a host")
        }
        let client = try ClaimDesk.client(kept)
        let state = try await client.read()
        guard let claim = state.claims.holders[address] else {
            throw ManagerError(.missing, "nobody has claimed \(address)")
        }
        guard try await state.end(address, by: client) != nil else {
            throw ManagerError(.failed, "the claim of \(address) has changed this moment: look at it again")
        }
        return (claim.host, state.heir(of: address))
    }
}
