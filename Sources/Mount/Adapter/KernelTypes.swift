package import FUSE

// See EngineTypes.swift.

package typealias KernelAttributes = Attributes
package typealias KernelChanges = AttributeChanges
package typealias KernelRenameFlags = RenameFlags
