//! Guards: rules that hold always, but in a negative control that shows what they are for.
//!
//! Reads   nothing.   Writes  nothing.   Never  is switched off by a config: only a test does that.

/// All on, unless a test says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// What equals the shadow is not written.
    pub echo_suppression: bool,
    /// Lines sold come off the ERP's figure until it contains them; a figure that fell waits for
    /// an order poll before it is raised, and is read just before it is written.
    pub stock_rule: bool,
    /// A create of a document keeps its reference, and one whose answer is missing is looked up.
    pub permits: bool,
    /// Nothing is created before the resource's first complete listing was merged.
    pub first_listing: bool,
    /// What somebody deleted in masses is not believed before a person says so.
    pub absence_cap: bool,
    /// What somebody deleted is asked about before it is made again.
    pub ask: bool,
    /// What has an id of the remote's own is noted before it leaves, and a list is read just before it
    /// is replaced.
    pub places: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            echo_suppression: true,
            stock_rule: true,
            permits: true,
            first_listing: true,
            absence_cap: true,
            ask: true,
            places: true,
        }
    }
}
