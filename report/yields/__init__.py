"""Pictures of yields, sensitivities and margins."""
