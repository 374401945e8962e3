"""The workflows: which task comes after which. Nothing else imports these modules."""
