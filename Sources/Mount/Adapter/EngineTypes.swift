package import FileSystem

// FUSE and FileSystem both have types of these names, and the module FileSystem cannot be named where its class of the same
// name is known. This file imports the one, KernelTypes.swift the other.

package typealias InodeAttributes = Attributes
package typealias InodeChanges = AttributeChanges
package typealias InodeRenameFlags = RenameFlags
