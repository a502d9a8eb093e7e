/// The environments and applications of a policy, as another document has them among other things: a topology.
package struct PolicySection {
    /// An environment, and where the document has its addresses.
    package struct EnvironmentPart {
        package var environment: Environment
        /// Those that could be read.
        package var addresses: [Marked<IPPrefix>]
    }

    /// An application, and where the document has it.
    package struct ApplicationPart {
        package var application: Application
        package var mark: YAMLMark
        /// Those that could be read.
        package var addresses: [Marked<IPAddress>]
        /// It says `auto`, and not what could not be read.
        package var isChosen: Bool
    }

    /// In the order of the document; none that is neither a mapping nor addresses.
    package var environments: [EnvironmentPart] = []
    /// In the order of the document; none that is no mapping.
    package var applications: [ApplicationPart] = []
    /// What is wrong with them, with each other, and in the address space.
    package var errors: [DocumentError] = []

    package init() {}

    /// Reads them.
    /// - Parameters:
    ///   - environments: nil where the document has none.
    ///   - applications: nil where the document has none.
    ///   - space: nil if some of it could not be read.
    package init(environments: YAMLNode?, applications: YAMLNode?, space: [Marked<IPPrefix>]?) {
        var reader = PolicyReader()
        let drafts = reader.members(
            environments: environments, applications: applications, space: space, mayLackEnvironments: true)
        self.environments = drafts.environments.map {
            EnvironmentPart(environment: $0.environment, addresses: $0.addresses)
        }
        self.applications = drafts.applications.map {
            ApplicationPart(
                application: $0.application, mark: $0.mark, addresses: $0.addresses,
                isChosen: $0.hasAddresses && $0.addresses.isEmpty)
        }
        errors = reader.errors
    }
}
